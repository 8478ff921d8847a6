"""What networks do to an appliance: who refuses whom, and what must be told once."""

from __future__ import annotations

from tests.situations.trace import BCAST, SYNOPT, Host, S, Tcp
from tests.situations.trace_names import bpdu, dhcp, lease, lopts, ntp
from tests.situations.trace_site import Day, scene
from tests.situations.trace_tls import (
    alert,
    data,
    hello,
    rec,
    shello,
    tls_client12,
    tls_server12,
)
from tests.situations.visit import visit


def light(seed, cams=2, **k):
    return Day(seed, cams=cams, cam={"fps": 5, "kbps": 50, "gop": 2.0}, **k)


PAE = "01:80:c2:00:00:03"


def eapol(w, t, src, dst, body):
    w.eth(t, src, dst, 0x888E, body)


def rest(p, end, arps=True, cloud=True, which=None, lan=True):
    if arps:
        p.arps(0.1, end)
    if cloud:
        p.cloud(0.5, end)
    if lan:
        p.lan(end)
    p.stream(0.3, end, which=which)
    return p


def lightcams(seed, cams=2, **k):
    return Day(seed, cams=cams, cam={"fps": 5, "kbps": 40, "gop": 2.0}, **k)


def boot(p, t, old=None, ask_ntp=True, cam=True):
    """The appliance starts: leases on its ports, probes, gateway, names, time, then the cloud."""
    w = p.w
    lease(w, t, p.a1, p.gw, p.gw.ip, [p.gw.ip], "panorama")
    w.ask(t + 5, p.a1, p.gw)
    if ask_ntp:
        for i in range(4):
            ntp(w, t + 5.2 + i * 2, p.a1, p.ntp_, off=(-1.2 if i == 0 else 0.0))
    return t + 8


@visit("tcp-blocked", severity={"tcp-blocked": "warning"}, says={"tcp-blocked": "port 443 works"})
def iot_8883_dropped_443_works():
    """Well dual site, 60 s."""
    p = Day(6, "dual", 1)
    p.arps(0.1, 34)
    p.cloud(0.5, 34, mqtt=False)
    p.stream(end=34)
    p.lan(34)
    f = p.look(1, p.iot)
    Tcp(p.w, p.a1, f, 8883, 1.05).silent((0, 1, 3, 7))
    p.mqtt(17, 34, look=False)
    return p


@visit("dhcp-no-offer")
def dot1x_no_supplicant():
    """802.1X: the switch asks for identity, the appliance never answers (no supplicant); no
    other frame of its goes through."""
    p = light(301, 0, topology="single")
    w = p.w
    for t in range(1, 90, 10):
        eapol(w, t, "00:1b:54:00:00:03", PAE, b"\2\0\0\5\1" + bytes([t & 255]) + b"\0\5\1")
    for t in (2, 5, 11, 24, 50, 80):
        dhcp(w, t, 1, p.a1, xid=t, name="panorama")
    for t in range(0, 90, 2):
        bpdu(w, t + 0.4)
    return p


@visit("dhcp-no-offer")
def dot1x_refused():
    """802.1X: the switch asks for identity, the appliance never answers (no supplicant); no
    other frame of its goes through."""
    p = light(302, 0, topology="single")
    w = p.w
    sw = "00:1b:54:00:00:03"
    for t in (1, 61, 121):
        eapol(w, t, p.a1.mac, PAE, b"\2\1\0\0")
        eapol(w, t + 0.1, sw, p.a1.mac, b"\2\0\0\5\1\1\0\5\1")
        eapol(w, t + 0.2, p.a1.mac, PAE, b"\2\0\0\x0d\2\1\0\x0d\1panorama")
        eapol(w, t + 0.5, sw, p.a1.mac, b"\2\0\0\4\4\2\0\4")
    for t in (2, 5, 11, 24, 50, 80, 110, 140):
        dhcp(w, t, 1, p.a1, xid=t, name="panorama")
    return p


@visit("dhcp-pool", says={"dhcp-pool": "snooping"})
def dhcp_snooping_drops():
    """802.1X: the switch asks for identity, the appliance never answers (no supplicant); no
    other frame of its goes through."""
    p = light(304, 0, topology="single")
    w = p.w
    pc = Host(f"{p.cloudnet}.51", "3c:52:82:10:00:51", 128)
    lease(w, 5, pc, p.gw, p.gw.ip, [p.gw.ip], "pc51")
    for t in (1, 4, 9, 20, 41, 80, 110):
        dhcp(w, t, 1, p.a1, xid=t, name="panorama")
    return p


@visit("camera-unreachable")
def port_security_third_camera():
    """802.1X: the switch asks for identity, the appliance never answers (no supplicant); no
    other frame of its goes through."""
    p = light(303, 3)
    rest(p, 50, arps=False, which=[0, 1])
    for t in range(0, 50, 20):
        p.w.ask(t + 0.1, p.a1, p.gw)
        p.w.ask(t + 0.2, p.a0, p.cams[0])
        p.w.ask(t + 0.3, p.a0, p.cams[1])
    for t in range(2, 50, 12):
        for i in range(3):
            p.w.ask(t + i, p.a0, p.cams[2], answer=False)
    return p


@visit("tls-intercepted")
def inspection_of_some_names():
    """802.1X: the switch asks for identity, the appliance never answers (no supplicant); no
    other frame of its goes through."""
    p = light(312, 1)
    rest(p, 45, cloud=False)
    p.cloud(0.5, 45, logs=False, s3=False)
    for t in range(2, 78, 9):
        for n in (p.logs, p.s3):
            k = p.tls(t + (n == p.s3) * 2, n).open()
            k.c(hello(n, ["http/1.1"], False))
            k.s(tls_server12(n, False, ("FortiGate CA", "Fortinet")))
            k.c(alert(2, 48))
            k.fin()
    p.end = 44
    return p


@visit("dhcp-rogue")
def hotspot_plugged_in():
    """802.1X: the switch asks for identity, the appliance never answers (no supplicant); no
    other frame of its goes through."""
    p = rest(light(320, 1, topology="single"), 60)
    w = p.w
    rogue = Host("192.168.43.1", "a4:bb:6d:43:00:01")
    pc = Host("192.168.43.77", "3c:52:82:10:00:51", 128)
    for t in (10, 30, 50):
        x = t * 7
        dhcp(w, t, 1, pc, xid=x)
        dhcp(w, t + 0.01, 2, pc, rogue, "192.168.43.77", x, lopts(rogue.ip, [rogue.ip]))
        dhcp(w, t + 0.02, 2, pc, p.gw, f"{p.cloudnet}.77", x, lopts(p.gw.ip, [p.gw.ip]))
    return p


@visit("ip-conflict")
def laptop_takes_cameras_address():
    """802.1X: the switch asks for identity, the appliance never answers (no supplicant); no
    other frame of its goes through."""
    p = rest(light(321, 2), 50)
    thief = Host(p.cams[1].ip, "a4:bb:6d:00:00:99", 128)
    for t in range(20, 88, 12):
        p.w.arp(t, 1, p.a0.mac, p.a0.ip, "00:00:00:00:00:00", p.cams[1].ip)
        p.w.arp(t + 0.0003, 2, p.cams[1].mac, p.cams[1].ip, p.a0.mac, p.a0.ip)
        p.w.arp(t + 0.0009, 2, thief.mac, thief.ip, p.a0.mac, p.a0.ip)
    p.end = 49
    return p


@visit("port-same-net", says={"port-same-net": "both of 10[.]20[.]0[.]0/24"})
def both_ports_one_subnet():
    """802.1X: the switch asks for identity, the appliance never answers (no supplicant); no
    other frame of its goes through."""
    p = light(323, 2, camnet="10.20.0", cloudnet="10.20.0", topology="dual")
    p.a1.ip = "10.20.0.77"
    rest(p, 50)
    for t in range(3, 50, 20):
        p.w.ask(t, p.a0, p.gw)
        p.w.ask(t + 1, p.a1, p.cams[0])
    return p


@visit("icmp-blocked")
def admin_prohibited_one():
    """802.1X: the switch asks for identity, the appliance never answers (no supplicant); no
    other frame of its goes through."""
    p = light(319, 1)
    w = p.w
    rest(p, 40, cloud=False)
    p.cloud(0.5, 40, logs=False)
    for t in range(3, 58, 7):
        f = p.look(t, p.logs)
        k = Tcp(w, p.a1, f, 443, t + 0.05)
        for d in (0, 1, 3):
            k.out(S, t=t + 0.05 + d, opts=SYNOPT, win=64240)
            q = w.last()[14 : 14 + 28]
            w.icmp(t + 0.052 + d, p.gw, p.a1, 3, 13, b"\0" * 4 + q)
    p.end = 39
    return p


@visit("wrong-gateway")
def wrong_gateway_whole_capture():
    """Ten-minute visit: camera cable pulled 100-160 s, put back; nothing else."""
    p = lightcams(221, 2)
    w = p.w
    g = Host(f"{p.cloudnet}.254", BCAST)
    p.stream(0.3, 50)
    p.lan(50)
    for t in range(1, 50, 5):
        for i in range(3):
            w.ask(t + i, p.a1, g, answer=False)
    for t in range(1, 50, 20):
        for c in p.cams:
            w.ask(t, p.a0, c)
        w.ask(t, Host(f"{p.cloudnet}.60", "3c:52:82:10:00:40"), p.gw)
    return p


@visit("dns-sinkhole", violations=None)
def split_horizon():
    """802.1X: the switch asks for identity, the appliance never answers (no supplicant); no
    other frame of its goes through."""
    p = light(311, 1)
    rest(p, 45, cloud=False)
    p.cloud(0.5, 45, mqtt=False)
    p.ips[p.iot] = "10.8.8.8"
    for t in range(2, 78, 8):
        k = p.tls(t, p.iot).open()
        k.c(hello(p.iot, ["x-amzn-mqtt-ca"], False))
        k.s(tls_server12(p.iot, False, ("Example Corp Issuing CA 2", "Example Corp")))
        k.c(alert(2, 48))
        k.fin()
    p.end = 44
    return p


@visit("client-cert-rejected")
def device_certificate_expired():
    """Ten-minute visit: camera cable pulled 100-160 s, put back; nothing else."""
    p = lightcams(223, 2)
    p.arps(0.1, 60)
    p.cloud(0.5, 60, mqtt=False)
    p.stream(0.3, 60)
    p.lan(60)
    t = 2
    while t < 135:
        k = p.tls(t, p.iot).open()
        k.c(hello(p.iot, ["x-amzn-mqtt-ca"], False))
        k.s(tls_server12(f"*.iot.{p.region}.amazonaws.com", True, None, "x-amzn-mqtt-ca"))
        k.c(tls_client12(True))
        k.s(alert(2, 45))
        k.fin(by="s")
        t += 9
    p.end = 59
    return p


@visit("client-cert-rejected")
def device_certificate_revoked_13():
    """Ten-minute visit: camera cable pulled 100-160 s, put back; nothing else."""
    p = lightcams(224, 1)
    p.arps(0.1, 60)
    p.cloud(0.5, 60, mqtt=False)
    p.stream(0.3, 60)
    p.lan(60)
    t = 2
    while t < 135:
        k = p.tls(t, p.iot).open()
        k.c(hello(p.iot, ["x-amzn-mqtt-ca"]))
        k.s(rec(22, shello(True)) + rec(20, b"\1") + data(40) + data(3200) + data(281) + data(53))
        k.c(rec(20, b"\1") + data(1100) + data(281) + data(53))
        k.s(data(19))
        k.fin(by="s")
        t += 10
    p.end = 59
    return p


@visit("scan")
def laptop_scans_the_cameras():
    """Bit-rate explodes at night to 12 Mb/s on one camera (noise): above 9 Mb/s."""
    p = scene(406, 50, 2)
    me = Host(f"{p.camnet}.240", "a4:bb:6d:00:00:77", 128)
    for i in range(1, 120):
        t = 10 + i * 0.15
        h = Host(f"{p.camnet}.{i}", BCAST)
        p.w.arp(t, 1, me.mac, me.ip, "00:00:00:00:00:00", h.ip)
    for c in p.cams:
        Tcp(p.w, me, c, 554, 35, 0.0006).open().c(
            b"OPTIONS rtsp://x RTSP/1.0\r\nCSeq: 1\r\n\r\n"
        ).s(b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n").fin()
        for q in range(60):
            Tcp(p.w, me, c, 1000 + q * 7, 36 + q * 0.1, 0.0006).refused()
    return p


@visit("dhcp-no-offer", also=("clock-off",), cleared=("dhcp-no-offer", "clock-off"))
def spanning_tree_then_well():
    """Ten-minute visit: camera cable pulled 100-160 s, put back; nothing else."""
    p = lightcams(225, 2, topology="single")
    w = p.w
    for t in (1, 4, 11, 26):
        dhcp(w, t, 1, p.a1, xid=int(t), name="panorama")
    t = boot(p, 34)
    p.arps(t + 1, 70)
    p.cloud(t + 2, 70)
    p.stream(t + 3, 70)
    p.lan(70, t=33)
    return p
