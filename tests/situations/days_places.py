"""Captures from a wrong or odd place: what is told of the place, and nothing that needs more."""

from __future__ import annotations

from tests.situations.trace import macb
from tests.situations.trace_site import Day
from tests.situations.visit import visit


def small(seed, end=40, top="dual", cams=2, **k):
    return Day(seed, top, cams, **k).healthy(end)


@visit()
def place_one_cameras_port():
    """Nanosecond pcap."""
    p = small(120, 40)
    m = macb(p.cams[0].mac)
    p.w.p = [(t, f) for t, f in p.w.p if m in (f[:6], f[6:12]) or f[0] & 1]
    return p


@visit()
def place_one_cameras_port_single():
    """Nanosecond pcap."""
    p = small(140, 80, "single", 2)
    m = macb(p.cams[0].mac)
    p.w.p = [(t, f) for t, f in p.w.p if m in (f[:6], f[6:12]) or f[0] & 1]
    for t in range(4, 80, 20):
        p.w.arp(t, 1, p.a0.mac, p.a0.ip, "00:00:00:00:00:00", p.gw.ip)
    return p


@visit(
    "mirror-one-way",
    also=("mirror-one-way",),
    cleared=("mirror-one-way",),
    either=("mirror-one-way",),
    cameras={"cam1": "connecting|unseen"},
)
def place_only_sent():
    """Nanosecond pcap."""
    p = small(127, 30)
    ms = (macb(p.a0.mac), macb(p.a1.mac))
    p.w.p = [(t, f) for t, f in p.w.p if f[6:12] in ms or f[0] & 1]
    return p


@visit("mirror-one-way", cameras={"cam1": "streaming"})
def place_only_received():
    """Nanosecond pcap."""
    p = small(128, 30)
    ms = (macb(p.a0.mac), macb(p.a1.mac))
    p.w.p = [(t, f) for t, f in p.w.p if f[0:6] in ms]
    return p


@visit()
def place_cloud_port_only():
    """Nanosecond pcap."""
    p = small(122, 30)
    m = macb(p.a1.mac)
    p.w.p = [(t, f) for t, f in p.w.p if m in (f[:6], f[6:12])]
    return p


@visit()
def place_camera_port_only():
    """Nanosecond pcap."""
    p = small(123, 30)
    m = macb(p.a0.mac)
    p.w.p = [(t, f) for t, f in p.w.p if m in (f[:6], f[6:12])]
    return p
