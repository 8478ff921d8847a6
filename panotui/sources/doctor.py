"""Checks of this machine for live capture: each a typed result, for the `doctor` command to print.

Nothing is changed: the ring is a scratch one on no interface, and closed again.
"""

from __future__ import annotations

import platform
import pwd
import socket
import struct
from collections.abc import Callable

import msgspec
import numpy as np
import psutil

from panotui.sources.live import capture, landlock, privileges
from panotui.sources.live.bpf import Snap, snap_program
from panotui.sources.live.interfaces import default_interfaces, existing_interfaces
from panotui.sources.live.link import LinkWatch
from panotui.sources.live.privileges import PrivilegeState, state

SCRATCH_BLOCKS = 16
KERNEL_LEAST = (4, 20)


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One check: its subject, result and remedy."""

    name: str
    ok: bool
    text: str
    remedy: str = ""


def checks(ring_bytes: int = 32 << 20, snap: Snap | None = None) -> list[Check]:
    """All checks, in the order in which to fix them."""
    if not hasattr(socket, "AF_PACKET"):
        return [
            Check(
                name="kernel",
                ok=False,
                text=f"live capture needs Linux, this is {platform.system()}",
                remedy="Reading captures works everywhere: panotui analyze, review, report.",
            )
        ]
    return [
        kernel(platform.release()),
        capability(state()),
        interfaces(),
        ring_allocation(ring_bytes),
        filter_size(snap or Snap()),
        link_events(),
        confinement(landlock.version(), state().uid),
        recorders_user(privileges.target()[0]),
    ]


def kernel(release: str) -> Check:
    """TPACKET_V3 and PACKET_IGNORE_OUTGOING: Linux 4.20."""
    numbers = [int(part) for part in release.split("-")[0].split(".")[:2] if part.isdigit()]
    ok = tuple(numbers) >= KERNEL_LEAST
    return Check(
        name="kernel",
        ok=ok,
        text=f"Linux {release}, numpy {np.__version__}",
        remedy="" if ok else "Capture rings are tried on Linux 4.20 and later.",
    )


def capability(now: PrivilegeState) -> Check:
    if now.can_capture:
        return Check(name="capability", ok=True, text="CAP_NET_RAW is there")
    return Check(
        name="capability",
        ok=False,
        text=f"user {now.uid} has no CAP_NET_RAW: no live capture",
        remedy=capture.PRIVILEGE_REMEDY,
    )


def interfaces(
    existing: Callable[[], list[str]] = existing_interfaces,
    chosen: Callable[[], list[str]] = default_interfaces,
) -> Check:
    names = chosen()
    return Check(
        name="interfaces",
        ok=bool(names),
        text=f"{', '.join(names) or 'none'} by default, of {', '.join(existing()) or 'none'}",
        remedy="" if names else "Name the interface: panotui live INTERFACE.",
    )


def ring_allocation(ring_bytes: int) -> Check:
    """Whether the kernel allocates a scratch ring, and whether the real one fits into memory."""
    try:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as scratch:
            scratch.setsockopt(capture.SOL_PACKET, capture.PACKET_VERSION, capture.TPACKET_V3)
            frames = SCRATCH_BLOCKS * capture.BLOCK_BYTES // capture.FRAME_BYTES
            scratch.setsockopt(
                capture.SOL_PACKET,
                capture.PACKET_RX_RING,
                struct.pack(
                    "=7I",
                    capture.BLOCK_BYTES,
                    SCRATCH_BLOCKS,
                    capture.FRAME_BYTES,
                    frames,
                    capture.RETIRE_MS,
                    0,
                    0,
                ),
            )
    except PermissionError:
        return Check(
            name="ring",
            ok=False,
            text="not tried: it needs CAP_NET_RAW",
            remedy=capture.PRIVILEGE_REMEDY,
        )
    except OSError as error:
        return Check(
            name="ring",
            ok=False,
            text=f"the kernel gives no ring ({error.strerror})",
            remedy="Free memory, or ask for a smaller one with --ring.",
        )
    available = int(psutil.virtual_memory().available)
    ok = available > 4 * ring_bytes
    return Check(
        name="ring",
        ok=ok,
        text=f"{ring_bytes >> 20} MiB for all rings, in blocks of {capture.BLOCK_BYTES >> 10} KiB, "
        f"handed over after {capture.RETIRE_MS} ms; {available >> 20} MiB of memory are free",
        remedy="" if ok else "Ask for a smaller one with --ring.",
    )


def filter_size(snap: Snap) -> Check:
    count = len(snap_program(snap)) // 8
    return Check(
        name="snap",
        ok=count <= 4_096,
        text=f"{snap.bulk} bytes of bulk packets, {snap.tcp} of TCP, control packets whole "
        f"(kernel filter of {count} instructions)",
    )


def confinement(version: int, uid: int) -> Check:
    """The confinement of processes that read packets, captures and recordings after root is given
    up.
    """
    held = "no rights, no way back to them"
    if version:
        held += f"; files by Landlock (version {version})"
    if version >= landlock.TCP_SINCE:
        held += ", TCP"
    if version >= landlock.SCOPES_SINCE:
        held += ", signals"
    if uid == 0:
        held += "; no network but what a command needs"
    if version:
        held += "; a recorder and a screen write their own output alone"
    return Check(
        name="confinement",
        ok=version > 0,
        text=held,
        remedy=""
        if version
        else "This kernel has no Landlock (Linux 5.13, lsm=landlock): what "
        "everybody may read stays readable.",
    )


def recorders_user(uid: int) -> Check:
    """The user that a recorder runs as."""
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = str(uid)
    shared = privileges.is_nobody(uid)
    return Check(
        name="recorder's user",
        ok=not shared,
        text=f"{name}, as other programs are: only root may attach" if shared else name,
        remedy="Make it a user of its own: useradd --system panotui." if shared else "",
    )


def link_events() -> Check:
    watch = LinkWatch(())
    try:
        ok = watch.events
    finally:
        watch.close()
    return Check(
        name="link events",
        ok=ok,
        text="the kernel tells of carrier changes at once"
        if ok
        else "carrier changes are seen once a second only",
        remedy="" if ok else "Install pyroute2.",
    )
