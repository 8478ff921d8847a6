"""The control lane: which packets it takes, how many, and what it makes of a flow's beginning."""

from __future__ import annotations

import struct
import subprocess
import sys

import numpy as np
import pytest

from panotui.meter.control.kinds import control_mask
from panotui.meter.control.lane import ControlLane
from panotui.meter.lanes import LANE_BULK, LANE_HANDSHAKE, LANE_RTSP
from panotui.model import (
    APPS,
    SECOND,
    ArpMessage,
    BannerMessage,
    DiscoveryMessage,
    DnsMessage,
    HttpMessage,
    IcmpMessage,
    LinkControlMessage,
    MeterSettings,
    MqttMessage,
    NeighbourMessage,
    NtpMessage,
    TlsClientHello,
)
from panotui.wire import linkcontrol
from panotui.wire.decode import decode
from tests.captures import capture
from tests.meter.packets_in import START_NS, Conversation, batch_of, ethernet, ip, tcp, udp
from tests.meter.through_lane import end, run, run_frames

ARP_BODY = bytes.fromhex("0001080006040001020000000011c0a80505000000000000c0a80501")
ARP = ethernet(0x0806, ARP_BODY, dst=b"\xff" * 6)
ECHO = ip(1, b"\x08\x00" + bytes(30))
UNREACHABLE = ip(1, b"\x03\x0d" + bytes(6) + b"\x45" + bytes(27))


def query(number: int = 1, name: bytes = b"\x04logs\x09us-east-1\x09amazonaws\x03com\x00") -> bytes:
    return struct.pack("!HHHHHH", number & 0xFFFF, 0x100, 1, 0, 0, 0) + name + b"\0\1\0\1"


DNS = udp(40_000, 53, query())
NTP = udp(123, 123, b"\x23" + bytes(39) + b"\xe0" + bytes(7))


def opened(turns, dport=80, **options):
    talk = Conversation(dport=dport)
    talk.start()
    for from_client, said in turns:
        talk.say(from_client, said)
    return run_frames(talk.frames, **options)


# ------------------------------------------------------------------ which packets


def test_mask_picks_every_control_packet_and_nothing_else():
    six = {"src": "fe80::1", "dst": "ff02::1"}
    control = [
        ARP,
        DNS,
        NTP,
        ECHO,
        UNREACHABLE,
        ethernet(0x88CC, b"\x02\x07\x04" + bytes(40), dst=bytes.fromhex("0180c200000e")),
        ethernet(0x8809, b"\x01" + bytes(49), dst=bytes.fromhex("0180c2000002")),
        ethernet(0x8808, b"\x00\x01\xff\xff", dst=bytes.fromhex("0180c2000001")),
        ethernet(0x888E, b"\x01\x01\x00\x00", dst=bytes.fromhex("0180c2000003")),
        ethernet(38, b"\x42\x42\x03" + bytes(35), dst=bytes.fromhex("0180c2000000")),
        ethernet(
            60, b"\xaa\xaa\x03\x00\x00\x0c\x20\x00" + bytes(52), bytes.fromhex("01000ccccccc")
        ),
        udp(68, 67, bytes(300)),
        udp(5353, 5353, query()),
        udp(50_000, 5355, query()),
        udp(50_000, 1900, b"NOTIFY * HTTP/1.1\r\n\r\n"),
        udp(50_000, 3702, b"<Hello>"),
        udp(137, 137, bytes(50)),
        udp(1985, 1985, bytes(20)),
        udp(320, 320, bytes(64)),
        ethernet(0x88F7, bytes(64)),
        udp(50_000, 443, b"\xc0\x00\x00\x00\x01" + bytes(1300)),
        ip(2, b"\x16" + bytes(7)),
        ip(112, b"\x21" + bytes(19)),
        ip(58, b"\x87" + bytes(23), **six),
        ip(58, b"\x8f" + bytes(27), **six),
    ]
    bulk = [
        udp(5004, 20_000, b"\x80\x60" + bytes(1200)),
        udp(50_000, 443, bytes(200)),
        udp(443, 50_000, bytes(1300)),
        tcp(40_000, 443, 1, b"\x17\x03\x03" + bytes(100)),
        tcp(40_000, 53, 1, b"\x00\x20" + bytes(32)),
        ethernet(0x9999, bytes(50)),
        ethernet(60, b"\xe0\xe0\x03" + bytes(50)),  # IPX: LLC, but no bridge's
    ]
    columns = decode(batch_of(control + bulk))
    assert control_mask(columns).tolist() == [True] * len(control) + [False] * len(bulk)


def test_packets_become_messages_with_their_place():
    result = run_frames([ARP, DNS, NTP, ECHO], first_number=101)
    assert [(type(m), m.packet, m.interface) for m in result.messages] == [
        (ArpMessage, 101, 0),
        (DnsMessage, 102, 0),
        (NtpMessage, 103, 0),
        (IcmpMessage, 104, 0),
    ]
    arp, dns, ntp, _ = result.messages
    assert (arp.eth_src, arp.sender_ip, arp.flow) == ("02:00:00:00:00:11", "192.168.5.5", -1)
    assert (dns.client, dns.server, dns.client_port) == ("192.168.5.5", "198.51.100.7", 40_000)
    assert dns.name == "logs.us-east-1.amazonaws.com"
    assert dns.flow == 1
    assert ntp.flow == 2
    assert APPS[result.lane.app(1)] == "dns"
    assert APPS[result.lane.app(2)] == "ntp"
    assert result.lane.taken == 4


def test_flow_ids_may_be_aligned_with_the_batch():
    packets = batch_of([ECHO, DNS])
    lane = ControlLane(MeterSettings())
    lane.packets(packets, decode(packets), np.array([1]), np.array([7, 8], np.uint64))
    assert [m.flow for m in lane.drain()] == [8]
    assert lane.drain() == []


def test_lowest_layer_neighbours_are_dissected():
    result = run(capture("open/tcpdump__LLDP_and_CDP.pcap"))
    assert {m.protocol for m in result.of(NeighbourMessage)} == {"lldp", "cdp"}
    for name, protocol in (
        ("tcpdump__802.1w_rapid_STP", "rstp"),
        ("tcpdump__LACP", "lacp"),
        ("tcpdump__HSRP_failover", "hsrp"),
    ):
        result = run(capture(f"open/{name}.pcap"))
        told = result.of(LinkControlMessage)
        assert {m.protocol for m in told} == {protocol}
        assert all(linkcontrol.described(m) for m in told)
        assert result.lane.collected.malformed == 0


def test_malformed_packets_are_counted_and_cost_nothing_else():
    broken = udp(40_000, 53, b"\x00\x01\x80\x00\xff\xff" + bytes(6))
    result = run_frames([broken, DNS, udp(68, 67, b"\x01" * 50)])
    assert len(result.messages) == 1
    assert result.lane.collected.malformed == 2
    assert result.lane.collected.malformed_by == {"dns": 1, "dhcp": 1}


def test_packets_cut_by_the_capture_are_not_called_malformed():
    result = run_frames([DNS[:60]], wire_lengths=[len(DNS)])
    assert result.messages == []
    assert result.lane.collected.malformed == 0


# ------------------------------------------------------------------ how many


def _flood(kind: bytes, count: int, others: list[bytes], per_second: int = 400):
    frames = [kind] * count
    step = count // (len(others) + 1)
    for index, other in enumerate(others):
        frames.insert((index + 1) * step + index, other)
    times = [START_NS + i * (SECOND - 1) // len(frames) for i in range(len(frames))]
    return run_frames(frames, MeterSettings(control_per_second=per_second), times_ns=times)


@pytest.mark.parametrize("flood", [DNS, ECHO, ARP, UNREACHABLE, udp(5353, 5353, query())])
def test_flood_of_one_kind_does_not_hide_the_others(flood):
    others = [frame for frame in (ARP, DNS, NTP, UNREACHABLE) if frame is not flood]
    result = _flood(flood, 5000, others * 3)
    kinds = [type(m) for m in result.messages]
    wanted = {ARP: ArpMessage, DNS: DnsMessage, NTP: NtpMessage, UNREACHABLE: IcmpMessage}
    for other in others:
        seen = [m for m in result.messages if type(m) is wanted[other]]
        if other is DNS and flood[:2] != DNS[:2]:
            seen = [m for m in seen if m.transport == "udp"]
        assert len(seen) >= 3
    assert len(kinds) <= 400
    assert result.lane.taken + result.lane.skipped == 5000 + 3 * len(others)
    assert result.lane.skipped >= 4600


def test_echoes_may_not_draw_on_the_common_budget():
    result = _flood(ECHO, 2000, [])
    assert len(result.messages) == 4  # 1 % of 400


def test_single_busy_kind_may_use_the_common_budget():
    result = _flood(DNS, 2000, [])
    assert len(result.messages) == 160  # its 10 % and three fifths of the common half


def test_budget_is_of_each_second_and_carries_over_batches():
    lane = ControlLane(MeterSettings(control_per_second=100))
    for second in (0, 0, 1, 2, 2):
        packets = batch_of([ECHO] * 5, [START_NS + second * SECOND + i for i in range(5)])
        columns = decode(packets)
        lane.packets(packets, columns, np.arange(5), np.zeros(5, np.int64))
    assert len(lane.drain()) == 3
    assert (lane.taken, lane.skipped) == (3, 22)


def test_batch_of_several_seconds_is_allowed_by_second():
    times = [START_NS + (i % 4) * SECOND + i for i in range(40)]
    result = run_frames([ECHO] * 40, MeterSettings(control_per_second=100), times_ns=times)
    assert sorted((m.time_ns - START_NS) // SECOND for m in result.messages) == [0, 1, 2, 3]


def test_openings_have_a_budget_too():
    frames = [tcp(1000 + i, 80, 1, b"GET / HTTP/1.1\r\n\r\n") for i in range(100)]
    result = run_frames(frames, MeterSettings(control_per_second=80))
    assert len(result.of(HttpMessage)) == 20  # at once
    assert (result.lane.taken, result.lane.skipped) == (20, 80)


def test_a_flood_of_openings_is_heard_at_the_rate_of_a_site_and_counted():
    frames = [tcp(1000 + i, 80, 1, b"GET / HTTP/1.1\r\n\r\n") for i in range(100)]
    times = [START_NS + (i // 10) * SECOND + i for i in range(100)]  # ten a second
    result = run_frames(frames, MeterSettings(control_per_second=80), times_ns=times)
    # twenty at once, and five more in each of the nine seconds that begin later
    assert len(result.of(HttpMessage)) == 20 + 5 * 9
    assert result.lane.skipped == 100 - 65
    calm = [START_NS + (i // 5) * SECOND + i for i in range(100)]
    result = run_frames(frames, MeterSettings(control_per_second=80), times_ns=calm)
    assert len(result.of(HttpMessage)) == 100


def test_flood_of_other_connections_does_not_hide_cameras_and_cloud():
    flood = [tcp(1000 + i, 80, 1, b"GET / HTTP/1.1\r\n\r\n") for i in range(300)]
    camera = tcp(5000, 554, 1, b"OPTIONS rtsp://a/ RTSP/1.0\r\n\r\n")
    cloud = tcp(5001, 8883, 1, b"\x15\x03\x03\x00\x02\x02\x28")
    result = run_frames([*flood, camera, cloud], MeterSettings(control_per_second=10))
    assert {APPS[app] for app in result.apps()} >= {"rtsp", "tls"}


def test_packets_of_many_records_weigh_more():
    records = b"".join(
        b"\xc0\x0c\0\1\0\1\0\0\0\x05\0\x04" + bytes((10, 0, 0, i)) for i in range(64)
    )
    wire = bytearray(query() + records)
    wire[2:8] = struct.pack("!HHH", 0x8180, 1, 64)
    lane = ControlLane(MeterSettings(control_per_second=400))
    for i in range(100):
        packets = batch_of([udp(53, 40_000, bytes(wire))] * 5, [START_NS + i] * 5)
        lane.packets(packets, decode(packets), np.arange(5), np.zeros(5, np.int64))
    assert lane.taken < 240  # what light packets would have been allowed
    assert lane.collected.malformed == 0


def test_half_done_openings_are_bounded_and_counted():
    hello = b"\x16\x03\x01\x10\x00\x01\x00\x0f\xf0\x03\x03" + bytes(600)
    frames = [tcp(1 + i, 443, 1, hello) for i in range(1500)]
    result = run_frames(frames, MeterSettings(control_per_second=8_000))
    assert result.lane.reassembly_skipped == 1500 - 1024
    assert len(result.lane.openings.talks) == 1024
    end(result)
    assert len(result.lane.openings.talks) == 0
    assert result.lane.openings.talk_bytes == 0
    assert len(result.lane.collected.apps) == 0


def test_bytes_of_half_done_openings_are_bounded():
    frames = []
    for i in range(1000):
        talk = Conversation(sport=2000 + i)
        talk.say(True, b"\x16\x03\x01\x40\x00\x01\x00\x3f\x00\x03\x03" + bytes(16_000))
        talk.sequence[True] += 10  # a hole
        for _ in range(1):
            talk.say(True, bytes(30_000), 10_000)
        frames += talk.frames
    result = run_frames(frames)
    assert result.lane.openings.talk_bytes <= 16 << 20
    held = sum(talk.held for talk in result.lane.openings.talks.values())
    assert held == result.lane.openings.talk_bytes
    assert result.lane.reassembly_skipped > 0


# ------------------------------------------------------------------ beginnings of flows


def test_http_request_and_answer_are_told_without_secrets():
    result = opened(
        [
            (
                True,
                b"GET /a/b?token=secret HTTP/1.1\r\nHost: CAM.example\r\nUser-Agent: x/1\r\n"
                b"Authorization: Basic dXNlcjpwYXNz\r\n\r\n",
            ),
            (False, b"HTTP/1.1 401 Unauthorized\r\nServer: \x1b]0;pwn\x07\r\n\r\nbody"),
        ]
    )
    ask, answer = result.of(HttpMessage)
    assert (ask.method, ask.host, ask.path, ask.user_agent) == ("GET", "cam.example", "/a/b", "x/1")
    assert ask.credentials
    assert (answer.status, answer.server) == (401, r"\x1b]0;pwn\x07")
    assert "secret" not in str(result.messages)
    assert {APPS[app] for app in result.apps()} == {"http"}


def test_second_request_with_credentials_is_seen():
    result = opened(
        [
            (True, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
            (False, b"HTTP/1.1 401 no\r\n\r\n" + b"x" * 3000),
            (True, b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Basic eA==\r\n\r\n"),
        ]
    )
    assert [m.credentials for m in result.of(HttpMessage)] == [False, False, True]


@pytest.mark.parametrize(
    "turns",
    [
        [(True, b"OPTIONS rtsp://10.0.0.1/ RTSP/1.0\r\nCSeq: 1\r\n\r\n")],
        [(True, b"DESCRIBE rtsp://10.0.0.1/a"), (True, b"b RTSP/1.0\r\n\r\n")],
        [(False, b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n")],
        [(False, b"\x24\x00\x00\x20\x80\x60" + bytes(30))],
        [
            (
                False,
                bytes(100) + b"\x24\x00\x00\x10\x80\x60" + bytes(14) + b"\x24\x01\x00\x08\x80\xc8",
            )
        ],
    ],
)
@pytest.mark.parametrize("port", [554, 10_000])
def test_rtsp_is_known_by_content_on_any_port(turns, port):
    result = opened(turns, dport=port)
    assert set(result.lanes.values()) <= {LANE_RTSP, LANE_HANDSHAKE}
    assert LANE_RTSP in result.lanes.values()
    assert {APPS[app] for app in result.apps()} == {"rtsp"}


def test_both_directions_go_to_the_rtsp_lane():
    result = opened(
        [(True, b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n"), (False, b"anything")], dport=9000
    )
    assert result.lanes == {(1, True): LANE_RTSP, (1, False): LANE_RTSP}


def test_middle_of_media_on_an_rtsp_port_goes_to_the_rtsp_lane():
    talk = Conversation(dport=8554)
    talk.say(False, bytes(1000))
    assert run_frames(talk.frames).lanes == {(1, False): LANE_RTSP}


def test_rtsp_tunnelled_in_http_goes_to_the_rtsp_lane():
    ask = (
        b"GET /cam HTTP/1.0\r\nx-sessioncookie: abc\r\nAccept: application/x-rtsp-tunnelled\r\n\r\n"
    )
    result = opened([(True, ask)])
    assert result.lanes == {(1, True): LANE_RTSP}
    assert {APPS[app] for app in result.apps()} == {"rtsp-http"}
    assert result.of(HttpMessage) == []


def test_web_page_on_an_rtsp_port_is_http():
    result = opened([(True, b"GET / HTTP/1.1\r\nHost: cam\r\n\r\n")], dport=554)
    assert result.of(HttpMessage)[0].host == "cam"
    assert LANE_RTSP not in result.lanes.values()


@pytest.mark.parametrize(
    "name", ["gst-404", "gst-digest-wrongpw", "gst-tcp-ffmpeg", "tcp-h264-mtu", "udp-h264"]
)
def test_rtsp_of_the_lab_is_recognised(name):
    result = run(capture(f"lab/{name}.pcap"))
    assert LANE_RTSP in result.lanes.values()
    assert APPS.index("rtsp") in result.apps()


def test_interleaved_media_are_recognised_from_their_middle_on_an_unknown_port():
    settings = MeterSettings(rtsp_ports=())
    result = run(capture("variants/v-tcp-midstream-nosetup.pcap"), settings)
    assert LANE_RTSP in result.lanes.values()


def test_mqtt_in_clear_is_told_without_the_user_name():
    connect = b"\x10\x1c\x00\x04MQTT\x04\xc2\x00\x3c\x00\x04edge\x00\x04user\x00\x04pass"
    result = opened([(True, connect), (False, b"\x20\x02\x00\x05")], dport=1883)
    ask, answer = result.of(MqttMessage)
    assert (ask.type, ask.client_id, ask.keep_alive_s, ask.username) == (
        "connect",
        "edge",
        60,
        True,
    )
    assert (answer.type, answer.return_code) == ("connack", 5)
    assert "pass" not in str(result.messages)


@pytest.mark.parametrize(
    ("port", "turns", "app", "text"),
    [
        (22, [(False, b"SSH-2.0-OpenSSH_9.2\r\n")], "ssh", "SSH-2.0-OpenSSH_9.2"),
        (23, [(False, b"\xff\xfd\x18\xff\xfd\x20login: ")], "telnet", "login:"),
        (21, [(False, b"220 FTP ready\r\n")], "ftp", "220 FTP ready"),
        (25, [(False, b"220 mx ESMTP\r\n")], "smtp", "220 mx ESMTP"),
        (445, [(True, b"\0\0\0\x40\xfeSMB" + bytes(60))], "smb", "SMB 2 or 3"),
        (3389, [(True, b"\x03\0\0\x13\x0e\xe0" + bytes(13))], "rdp", "connection request"),
    ],
)
def test_greetings_of_other_protocols_are_told(port, turns, app, text):
    result = opened(turns, dport=port)
    (banner,) = result.of(BannerMessage)
    assert (banner.app, banner.text, banner.credentials) == (app, text, False)
    assert {APPS[number] for number in result.apps()} == {app}


@pytest.mark.parametrize(
    ("turns", "proxy"),
    [
        ([(True, b"\5\1\0"), (False, b"\5\0"), (True, b"\5\1\0\1" + bytes(6))], True),
        ([(True, b"\5\2\0"), (True, b"\2"), (False, b"\5\2")], True),  # in two segments
        ([(True, b"\4\1\1\xbb\xc6\x33\x64\7\0"), (False, b"\0\x5a" + bytes(6))], True),
        ([(True, b"\5\1\0"), (False, b"\5\xff")], False),  # it takes no method of the client's
        ([(True, b"\5\1\0"), (False, b"220 mx ESMTP\r\n")], False),
        ([(True, b"GET / HTTP/1.1\r\n\r\n"), (False, b"HTTP/1.1 200 OK\r\n\r\n")], False),
        ([(True, bytes(range(9))), (False, bytes(9)), (True, b"\5\1\0")], False),
    ],
)
def test_a_socks_proxy_is_known_by_what_both_say(turns, proxy):
    told = [m for m in opened(turns, dport=1080).of(BannerMessage) if m.app == "socks"]
    assert len(told) == proxy
    assert not [m for m in opened(turns, dport=1090).of(BannerMessage) if m.app == "socks"]


def test_passwords_in_clear_are_told_but_not_shown():
    result = opened(
        [(False, b"220 FTP ready\r\n"), (True, b"USER root\r\n"), (False, b"331\r\n")], dport=21
    )
    assert result.of(BannerMessage)[-1].credentials
    assert "root" not in str(result.messages)


def test_dns_over_tcp_is_read_across_segments():
    wire = query(7)
    stream = struct.pack("!H", len(wire)) + wire
    talk = Conversation(dport=53)
    talk.say(True, stream + stream, 19)
    result = run_frames(talk.frames)
    assert [(m.transport, m.id, m.client_port) for m in result.of(DnsMessage)] == [
        ("tcp", 7, 40_000)
    ] * 2
    assert {APPS[app] for app in result.apps()} == {"dns"}


def test_unknown_flows_are_left_alone_soon():
    talk = Conversation(dport=37_777)
    for _ in range(6):
        talk.say(True, b"\x99\x98\x97" * 20)
        talk.say(False, b"\x77\x76" * 20)
    result = run_frames(talk.frames)
    assert set(result.lanes.values()) == {LANE_BULK}
    assert result.messages == []
    assert result.lane.taken <= 4


def test_rows_in_any_order_are_read_in_order_of_arrival():
    talk = Conversation(dport=80)
    talk.say(True, b"GET / HTTP/1.1\r\nHost: a\r\n", 10)
    talk.say(True, b"\r\n")
    packets = batch_of(talk.frames)
    columns = decode(packets)
    lane = ControlLane(MeterSettings())
    rows = np.arange(len(packets))[::-1].copy()
    n = len(rows)
    lanes = lane.payloads(packets, columns, rows, np.ones(n, np.int64), np.ones(n, np.bool_))
    assert [m.host for m in lane.drain()] == ["a"]
    assert lanes.dtype == np.uint8
    assert len(lanes) == n


def test_ended_flows_are_forgotten():
    result = opened([(True, b"GET / HTTP/1.1\r\nHost: half")])
    assert result.of(HttpMessage) == []
    end(result)
    assert result.of(HttpMessage)[0].method == "GET"  # what was there of it
    assert result.lane.app(1) == 0


# ------------------------------------------------------------------ discovery and QUIC


def test_protocols_without_messages_are_named():
    stun = b"\x00\x01\x00\x00\x21\x12\xa4\x42" + bytes(12)
    for port, body, app in (
        (161, b"\x30\x26\x02\x01\x01", "snmp"),
        (514, b"<34>Oct 11 22:14:15 host su: x", "syslog"),
        (3478, stun, "stun"),
        (514, b"something else", None),
    ):
        result = run_frames([udp(40_000, port, body)])
        assert {APPS[number] for number in result.apps()} == {app}
        assert result.messages == []


def test_mdns_answers_are_names_and_discovery():
    result = run(capture("open/zeek__dns_mdns.pcap"))
    assert {m.transport for m in result.of(DnsMessage)} == {"mdns"}
    assert "johanna-qemu-virtual-machine.local" in {m.name for m in result.of(DiscoveryMessage)}


def test_quic_hello_in_shuffled_packets_is_named():
    for name, host in (
        ("open/sv__quic-frag-unordered.pcap", "mastodon.social"),
        ("open/zeek__quic_chromium-115.0.5790.110-api-cirrus-com.pcap", "api.cirrus-ci.com"),
        ("open/zeek__quic_interop_quic-go_quic-go_retry.pcap", "server4:443"),
        ("crafted/quic-v2.pcapng", "test"),
    ):
        hellos = run(capture(name)).of(TlsClientHello)
        assert [(m.sni, m.carrier) for m in hellos] == [(host, "quic")]


def test_quic_initials_are_bounded_by_second():
    initial = b"\xc3\x00\x00\x00\x01\x08" + bytes(8) + b"\x00\x00\x44\x96" + bytes(1300)
    result = run_frames([udp(1000 + i, 443, initial) for i in range(500)])
    assert result.lane.taken == 50
    assert result.lane.skipped == 450


def test_short_header_datagrams_cost_no_budget():
    frames = [udp(1000, 443, b"\x41" + bytes(1300))] * 500
    result = run_frames(frames)
    assert (result.lane.taken, result.lane.skipped) == (0, 0)


def test_loaded_dissectors_import_nothing_more():
    """After privileges are given up, files of the interpreter may not be readable any more."""
    captures = [
        capture(f"open/{name}")
        for name in (
            "zeek__dns-https.pcap",
            "zeek__tls_client-certificate.pcap",
            "zeek__quic_chromium-115.0.5790.110-api-cirrus-com.pcap",
            "tcpdump__HSRP_failover.pcap",
            "tcpdump__LACP.pcap",
        )
    ]
    program = (
        "import fcntl, sys\n"  # which only the reading of captures needs
        "from tests.meter.through_lane import run\n"
        "from panotui.meter.control import dissectors\n"
        "dissectors.load()\n"
        "assert 'scapy' not in sys.modules\n"
        "before = set(sys.modules)\n"
        f"assert all(run(path).messages for path in {[str(path) for path in captures]!r})\n"
        "print(sorted(set(sys.modules) - before))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == "[]"
