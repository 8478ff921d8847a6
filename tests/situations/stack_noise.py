"""What every network says beside its work: switches, printers, phones, office computers."""

from __future__ import annotations

import random
import struct

from tests.situations.stack import BROADCAST, Host, checksum, packed, raw
from tests.situations.stack_names import dhcp, qname


def bpdu(s, at, root=0x8000):
    """Rapid spanning tree."""
    me = struct.pack("!H", root) + raw(s.switch.mac)
    body = b"\x42\x42\x03\0\0\2\2\x3c" + me + struct.pack("!I", 0) + me + b"\x80\x07"
    body += struct.pack("!HHHH", 0, 20 << 8, 2 << 8, 15 << 8) + b"\0"
    s.llc(at, s.switch.mac, "01:80:c2:00:00:00", body)


def lldp(s, at, port="GigabitEthernet1/0/7"):
    def tlv(kind, data):
        return struct.pack("!H", kind << 9 | len(data)) + data

    body = tlv(1, b"\4" + raw(s.switch.mac)) + tlv(2, b"\5" + port.encode()) + tlv(3, b"\0\x78")
    body += tlv(4, b"camera rack") + tlv(5, b"sw-plant-1") + tlv(6, b"Managed switch 3.2.1")
    body += tlv(7, b"\0\x14\0\4") + tlv(8, b"\5\1" + packed(s.switch.ip) + b"\2\0\0\0\1\0")
    body += (
        tlv(127, b"\0\x12\x0f\1\3\x6c\1\0\x1e") + tlv(127, b"\0\x12\x0f\4\x05\xf2") + tlv(0, b"")
    )
    s.eth(at, s.switch.mac, "01:80:c2:00:00:0e", 0x88CC, body)


def cdp(s, at):
    def tlv(kind, data):
        return struct.pack("!HH", kind, len(data) + 4) + data

    body = b"\2\xb4\0\0" + tlv(1, b"sw-plant-1") + tlv(3, b"Gi1/0/7") + tlv(4, b"\0\0\0\x28")
    body += tlv(5, b"Switch software 15.2") + tlv(6, b"switch WS-48")
    s.llc(at, s.switch.mac, "01:00:0c:cc:cc:cc", b"\xaa\xaa\3\0\0\x0c\x20\0" + body)


def igmp(s, at, src, kind, group="0.0.0.0", to=None, wait=100):
    """Version 2: 0x11 query, 0x16 report, 0x17 leave."""
    from_ = Host(src.mac, src.ip, ttl=1)
    body = struct.pack("!BBH", kind, wait if kind == 0x11 else 0, 0) + packed(group)
    total = sum(struct.unpack("!4H", body))
    total = (total & 0xFFFF) + (total >> 16)
    body = body[:2] + struct.pack("!H", ~total & 0xFFFF) + body[4:]
    to = to or ("224.0.0.1" if kind == 0x11 else "224.0.0.2" if kind == 0x17 else group)
    s.ip(at, from_, Host("", to), 2, body, df=False)


def mdns(s, at, src, name="_ipp._tcp.local"):
    body = struct.pack("!HHHHHH", 0, 0, 1, 0, 0, 0) + qname(name) + b"\0\x0c\0\1"
    s.udp(at, Host(src.mac, src.ip, ttl=255), 5353, Host("", "224.0.0.251"), 5353, body)


def six(s, at, src):
    """Router solicitation and a multicast listener report from a host that has IPv6 on."""
    m = raw(src.mac)
    me = "fe80::" + f"{m[0] ^ 2:x}{m[1]:02x}:{m[2]:02x}ff:fe{m[3]:02x}:{m[4]:02x}{m[5]:02x}"
    me6 = Host(src.mac, me, ttl=255)
    rs = b"\x85\0\0\0\0\0\0\0\1\1" + m
    all_routers = Host("", "ff02::2")
    check = s.pseudo(me6, all_routers, 58, len(rs)) + rs
    rs = rs[:2] + struct.pack("!H", checksum(check)) + rs[4:]
    s.ip(at, me6, all_routers, 58, rs)


def ssdp(s, at, src):
    text = (
        'M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: "ssdp:discover"\r\nMX: 3\r\n'
        "ST: urn:schemas-upnp-org:device:MediaRenderer:1\r\n\r\n"
    )
    s.udp(at, Host(src.mac, src.ip, ttl=4), 50123, Host("", "239.255.255.250"), 1900, text.encode())


def wsd(s, at, src, kind="Hello"):
    text = (
        '<?xml version="1.0" encoding="UTF-8"?><SOAP-ENV:Envelope '
        'xmlns:SOAP-ENV="http://www.w3.org/2003/05/soap-envelope"><SOAP-ENV:Header>'
        f"<wsa:Action>http://schemas.xmlsoap.org/ws/2005/04/discovery/{kind}</wsa:Action>"
        "</SOAP-ENV:Header><SOAP-ENV:Body><d:Types>dn:NetworkVideoTransmitter</d:Types>"
        "</SOAP-ENV:Body></SOAP-ENV:Envelope>"
    )
    s.udp(at, Host(src.mac, src.ip, ttl=1), 3702, Host("", "239.255.255.250"), 3702, text.encode())


def netbios(s, at, src, name="FILESERVER"):
    coded = "".join(chr(65 + (c >> 4)) + chr(65 + (c & 15)) for c in name.ljust(16).encode())
    body = (
        struct.pack("!HHHHHH", 0x8123, 0x0110, 1, 0, 0, 0)
        + b"\x20"
        + coded.encode()
        + b"\0\0\x20\0\1"
    )
    to = Host(BROADCAST, src.ip.rpartition(".")[0] + ".255")
    s.udp(at, src, 137, to, 137, body)


def noise(s, end, start=0.0):
    """All of it, at the pace at which networks say it."""
    r = random.Random(s.region + str(end))
    t = start + r.random()
    while t < end:
        bpdu(s, t)
        t += 2.0
    for first, step, what in (
        (r.uniform(0, 20), 30, lambda t: lldp(s, t)),
        (r.uniform(0, 50), 60, lambda t: cdp(s, t)),
        (r.uniform(0, 20), 41, lambda t: mdns(s, t, s.printer)),
        (r.uniform(0, 30), 120, lambda t: ssdp(s, t, s.pc)),
        (r.uniform(0, 30), 47, lambda t: netbios(s, t, s.pc)),
        (r.uniform(0, 20), 60, lambda t: six(s, t, s.printer)),
        (r.uniform(0, 30), 90, lambda t: igmp(s, t, s.pc, 0x16, "239.255.255.250")),
        (r.uniform(0, 9), 13, lambda t: s.arp(t, 1, s.pc, s.net + str(r.randrange(80, 99)))),
        (r.uniform(0, 30), 75, lambda t: s.refresh(t, s.pc, s.router)),
        (
            r.uniform(5, 40),
            300,
            lambda t: dhcp(s, t, 8, s.pc, ci=s.pc.ip, vendor=b"MSFT 5.0", name=b"OFFICE-7"),
        ),
    ):
        t = start + first
        while t < end:
            what(t)
            t += step
    for n, cam in enumerate(s.cams[:2]):
        wsd(s, start + 3 + n, cam)
