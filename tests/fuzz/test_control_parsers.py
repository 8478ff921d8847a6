"""Every parser of the control lane on bytes that mean harm: nothing but `Malformed` gets out, text
is printable, and no input costs much time.

Seeds are packets of real captures where there are some, so that mutations get past the first
checks.
"""

from __future__ import annotations

import random
import ssl
import time
from collections.abc import Callable
from functools import lru_cache

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panotui.model import LinkControlMessage
from panotui.sources import open_file
from panotui.wire import (
    arp,
    banner,
    cdp,
    dhcp,
    discovery,
    dns,
    http,
    icmp,
    igmp,
    linkcontrol,
    lldp,
    mqtt,
    ntp,
    ptp,
    quic,
    tls,
    x509,
)
from panotui.wire.origin import Malformed, Origin
from panotui.wire.websocket import find_rtsp
from tests.captures import capture
from tests.meter.tls_in_memory import handshake

HERE = Origin(1, 1, 0, 1)
ENDS = ("10.0.0.1", "10.0.0.2")


def _handshake(data: bytes) -> object:
    talk = tls.Handshake()
    told = talk.feed(data, True, HERE)
    return [*told, *talk.feed(data, False, HERE), *talk.close()]


def _quic_frames(data: bytes) -> object:
    hello = quic.Hello()
    hello._gather(data)
    return hello._whole(HERE)


def _mdns(data: bytes) -> object:
    packet = dns.split(data)
    return [
        dns.message_of(packet, HERE, *ENDS, 5353, 5353, "mdns"),
        discovery.of_mdns(packet, HERE, ENDS[0]),
    ]


def _banner(data: bytes) -> object:
    app = banner.recognise(data, 21, False)
    banner.holds_interleaved(data)
    find_rtsp(data, media_only=True)
    if app in ("ssh", "telnet", "ftp", "smtp", "smb", "rdp"):
        return banner.parse(app, data, HERE, True)
    return None


def _described(message: LinkControlMessage | None) -> object:
    return message, message and linkcontrol.described(message)


PARSERS: dict[str, Callable[[bytes], object]] = {
    "arp": lambda data: arp.parse(data, HERE),
    "icmp4": lambda data: icmp.parse(data, HERE, 4, *ENDS),
    "icmp6": lambda data: icmp.parse(data, HERE, 6, *ENDS),
    "igmp": lambda data: igmp.parse(data, HERE, ENDS[0]),
    "mld": lambda data: igmp.parse_mld(data, HERE, ENDS[0]),
    "ntp": lambda data: ntp.parse(data, HERE, *ENDS, 123, 123),
    "dhcp": lambda data: dhcp.parse(data, HERE, *ENDS),
    "dns": lambda data: dns.parse(data, HERE, *ENDS, 1, 53, "udp"),
    "mdns": _mdns,
    "dns-tcp": dns.tcp_messages,
    "lldp": lambda data: lldp.parse(data, HERE, ""),
    "cdp": lambda data: cdp.parse(data, HERE, ""),
    "stp": lambda data: linkcontrol.parse_stp(data, HERE, ""),
    "pause": lambda data: linkcontrol.parse_pause(data, HERE, ""),
    "slow": lambda data: _described(linkcontrol.parse_slow(data, HERE, "")),
    "eapol": lambda data: _described(linkcontrol.parse_eapol(data, HERE, "")),
    "vrrp": lambda data: _described(linkcontrol.parse_vrrp(data, HERE, ENDS[0], "")),
    "hsrp": lambda data: _described(linkcontrol.parse_hsrp(data, HERE, ENDS[0], "")),
    "ptp": lambda data: ptp.parse(data, HERE, ENDS[0]),
    "ssdp": lambda data: discovery.parse_ssdp(data, HERE, ENDS[0]),
    "ws-discovery": lambda data: discovery.parse_ws_discovery(data, HERE, ENDS[0]),
    "netbios": lambda data: discovery.parse_netbios(data, HERE, ENDS[0]),
    "client-hello": tls.client_hello,
    "cut-client-hello": lambda data: tls.client_hello(data, whole=False),
    "server-hello": tls.server_hello,
    "tls": _handshake,
    "x509": x509.parse,
    "quic": lambda data: quic.Hello().feed(data, HERE),
    "quic-frames": _quic_frames,
    "http-request": lambda data: http.parse(data, HERE, True).message,
    "http-answer": lambda data: http.parse(data, HERE, False).message,
    "mqtt": lambda data: mqtt.parse(data, HERE, True),
    "banner": _banner,
}
# Parser: (capture, where the packet's bytes begin in its frames)
_CAPTURES = {
    "arp": ("open/zeek__arp-who-has.pcap", 14),
    "icmp4": ("crafted/echoes.pcapng.gz", 34),
    "icmp6": ("open/zeek__icmp_nd_dnssl.pcap", 54),
    "igmp": ("open/zeek__igmp_igmp.pcap", 38),
    "ntp": ("open/zeek__ntp_NTP_sync.pcap", 42),
    "dhcp": ("lab/dhcp.pcap", 42),
    "dns": ("open/zeek__dns-https.pcap", 42),
    "mdns": ("open/zeek__dns_mdns.pcap", 42),
    "lldp": ("open/tcpdump__LLDP_and_CDP.pcap", 14),
    "cdp": ("open/tcpdump__LLDP_and_CDP.pcap", 22),
    "stp": ("open/tcpdump__802.1w_rapid_STP.pcap", 17),
    "slow": ("open/tcpdump__LACP.pcap", 14),
    "hsrp": ("open/tcpdump__HSRP_failover.pcap", 42),
    "quic": ("open/zeek__quic_chromium-115.0.5790.110-api-cirrus-com.pcap", 42),
}
_MADE_UP = {
    "mld": [bytes.fromhex("8f00000000000001040000010000000000000000000000000000000200000000")],
    "vrrp": [bytes.fromhex("2101640100010000c0a80001") + bytes(8)],
    "ptp": [
        bytes.fromhex("0b020040" + "00" * 43 + "8006214e5d7f001dc1fffe1200a0000120"),
        bytes.fromhex("00010001") + bytes(120),
    ],
    "eapol": [bytes.fromhex("0101000501010005010000")],
    "pause": [bytes.fromhex("0001ffff") + bytes(42), bytes.fromhex("0101000f") + bytes(42)],
    "ws-discovery": [
        b"<a:Envelope><d:ProbeMatches><d:Scopes>onvif://www.onvif.org/name/Cam%1b]0;x "
        b"onvif://www.onvif.org/hardware/X1</d:Scopes><d:XAddrs>http://10.0.0.1/onvif</d:XAddrs>"
    ],
    "ssdp": [
        b"NOTIFY * HTTP/1.1\r\nSERVER: Linux UPnP/1.0 Cam/2\r\nLOCATION: http://10.0.0.1/d\r\n"
    ],
    "netbios": [bytes.fromhex("0001290000010000000000012046") + b"A" * 31 + bytes(20)],
    "http-request": [
        b"GET http://u:p@h/p?q HTTP/1.1\r\nHost: h\r\nAuthorization: Basic eA==\r\n\r\n"
    ],
    "http-answer": [b"HTTP/1.1 302 Found\r\nLocation: http://u:p@h/p?q\r\nServer: s\r\n\r\n"],
    "mqtt": [b"\x10\x1c\x00\x04MQTT\x05\xc2\x00\x3c\x00\x00\x04edge\x00\x04user\x00\x04pass"],
    "banner": [
        b"SSH-2.0-x\r\n",
        b"220 ftp\r\n",
        b"\xff\xfd\x18login",
        b"\x24\x00\x00\x10\x80\x60" + bytes(14) + b"\x24\x01\x00\x08\x80\xc8",
        b"OPTIONS rtsp://a RTSP/1.0\r\n",
    ],
    "quic-frames": [b"\x06\x00\x20\x01\x00\x00\x1c\x03\x03" + bytes(40) + b"\x02\x01\x00\x01\x00"],
}


@lru_cache(maxsize=1)
def _tls_turns() -> list[tuple[bool, bytes]]:
    return handshake(ssl.TLSVersion.TLSv1_2, alpn=["mqtt"]) + handshake(ssl.TLSVersion.TLSv1_3)


@lru_cache(maxsize=64)
def seeds(name: str) -> list[bytes]:
    found = list(_MADE_UP.get(name, []))
    if name in ("tls", "client-hello", "cut-client-hello", "server-hello", "x509", "dns-tcp"):
        for from_client, said in _tls_turns():
            if name == "tls":
                found.append(said)
            elif name.endswith("client-hello") and from_client and said[5] == 1:
                found.append(said[9:])
            elif name == "server-hello" and not from_client and said[5] == 2:
                found.append(said[9 : 5 + int.from_bytes(said[3:5], "big")])
            elif name == "x509" and b"\x30\x82" in said:
                found.append(said[said.index(b"\x30\x82") :])
    if name in _CAPTURES:
        capture_name, at = _CAPTURES[name]
        source = open_file(str(capture(capture_name)))
        batch = source.read(0)
        assert batch is not None
        for offset, size in zip(batch.offset[:30], batch.captured[:30], strict=True):
            found.append(bytes(batch.data[offset + at : offset + size]))
        source.close()
    return [seed for seed in found if seed] or [bytes(64)]


def _check(name: str, data: bytes) -> None:
    began = time.process_time()
    try:
        told = PARSERS[name](data)
    except Malformed:
        told = None
    spent = time.process_time() - began
    assert spent < 0.5, f"{name} took {spent:.2f} s for {data[:80].hex()}"
    if told is not None and name not in ("dns-tcp", "client-hello", "cut-client-hello"):
        _is_printable(told)


def _is_printable(told: object) -> None:
    if isinstance(told, str):
        assert told.isprintable(), told
    elif isinstance(told, msgspec.Struct):
        for field in told.__struct_fields__:
            _is_printable(getattr(told, field))
    elif isinstance(told, tuple | list):
        for part in told:
            _is_printable(part)


def mutate(seed: bytes, chance: random.Random) -> bytes:
    data = bytearray(seed)
    for _ in range(chance.randint(1, 6)):
        where = chance.randrange(len(data)) if data else 0
        match chance.randrange(7):
            case 0 if data:
                data[where] = chance.choice((0, 1, 0x7F, 0x80, 0xC0, 0xFF, chance.randrange(256)))
            case 1 if data:
                data[where] ^= 1 << chance.randrange(8)
            case 2:
                del data[where:]
            case 3:
                data[where:where] = bytes(chance.randrange(256) for _ in range(4))
            case 4:
                end = chance.randint(where, len(data))
                data[where:where] = data[where:end]
            case 5:
                del data[where : where + chance.randint(1, 8)]
            case _ if data:
                data[where : where + 2] = chance.choice(
                    (b"\xff\xff", b"\0\0", b"\xc0\x0c", b"\x1b]")
                )
    return bytes(data[:4096])


@pytest.mark.parametrize("name", sorted(PARSERS))
def test_mutated_packets_raise_nothing_but_malformed(name):
    chance = random.Random(name)
    choice = seeds(name)
    for _ in range(400):
        _check(name, mutate(chance.choice(choice), chance))


@pytest.mark.parametrize("name", sorted(PARSERS))
def test_packets_cut_anywhere_raise_nothing_but_malformed(name):
    for seed in seeds(name)[:3]:
        for size in range(min(len(seed), 400)):
            _check(name, seed[:size])


@pytest.mark.parametrize("name", sorted(PARSERS))
@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=600))
def test_any_bytes_raise_nothing_but_malformed(name, data):
    _check(name, data)


@pytest.mark.parametrize("name", sorted(PARSERS))
@pytest.mark.parametrize(
    "filling", [b"\0", b"\xff", b"\xc0\x0c", b"\x01", b"\x3f", b"<d:XAddrs ", b"\n:"]
)
def test_long_packets_of_one_pattern_cost_little(name, filling):
    for seed in seeds(name)[:2]:
        data = seed[: min(len(seed), 40)] + filling * (65_000 // len(filling))
        _check(name, data)
