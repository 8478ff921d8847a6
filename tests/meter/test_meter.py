"""The meter from packets to deltas: flow life, who is the client, seconds of the link, copies."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP, fragment
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Packet, Raw

from panotui.meter.flows.hashindex import HashIndex
from panotui.meter.meter import Meter
from panotui.meter.streams.table import StreamTable
from panotui.model import (
    APPS,
    CLIENT_BY,
    FLOW_ENDS,
    FLOW_STATES,
    SECOND,
    HttpMessage,
    Interface,
    MeterSettings,
    PacketBatch,
    Rows,
)
from tests.meter.packets_in import START_NS, batch_of, ip

T0 = 1_760_000_000 * SECOND
CAMERA, APPLIANCE = "10.20.0.11", "10.20.0.5"
_MACS = {"src": "02:00:00:00:00:01", "dst": "02:00:00:00:00:02"}


def batch(packets: list[tuple[float, Packet]], first_number: int = 1) -> PacketBatch:
    """Packets with their seconds after T0."""
    frames = [bytes(packet) for _, packet in packets]
    sizes = np.array([len(frame) for frame in frames], np.int64)
    return PacketBatch(
        np.frombuffer(b"".join(frames), np.uint8), np.cumsum(sizes) - sizes, sizes, sizes,
        np.array([T0 + round(at * SECOND) for at, _ in packets], np.int64),
        np.zeros(len(frames), np.int16), [Interface("x", 1)], first_number,
    )  # fmt: skip


_identification = iter(range(1, 60_000))


def tcp(
    src: str, sport: int, dst: str, dport: int, flags: str, seq: int = 0, ack: int = 0,
    data: bytes = b"", window: int = 60_000,
) -> Packet:  # fmt: skip
    return (
        Ether(**_MACS)
        / IP(src=src, dst=dst, id=next(_identification))
        / TCP(sport=sport, dport=dport, flags=flags, seq=seq, ack=ack, window=window)
        / Raw(data)
    )


def udp(src: str, sport: int, dst: str, dport: int, data: bytes = b"x" * 20) -> Packet:
    return (
        Ether(**_MACS)
        / IP(src=src, dst=dst, id=next(_identification))
        / UDP(sport=sport, dport=dport)
        / Raw(data)
    )


def connection(at: float, sport: int, isn: int, close: str = "FA") -> list[tuple[float, Packet]]:
    """Handshake (5 ms to the server, 1 ms to the client), request, answer, close."""
    c, s = (APPLIANCE, sport, CAMERA, 554), (CAMERA, 554, APPLIANCE, sport)
    return [
        (at, tcp(*c, "S", isn)),
        (at + 0.005, tcp(*s, "SA", 900, isn + 1)),
        (at + 0.006, tcp(*c, "A", isn + 1, 901)),
        (at + 0.007, tcp(*c, "PA", isn + 1, 901, b"q" * 100)),
        (at + 0.017, tcp(*s, "PA", 901, isn + 101, b"a" * 300)),
        (at + 0.018, tcp(*c, "A", isn + 101, 1201)),
        (at + 0.020, tcp(*c, close, isn + 101, 1201)),
        (at + 0.021, tcp(*s, close, 1201, isn + 102)),
    ]


def flows_of(packets: list[tuple[float, Packet]], cut: int = 1000, **limits: float) -> Rows:
    meter = Meter(MeterSettings(**limits), 0)  # type: ignore[arg-type]
    for start in range(0, len(packets), cut):
        meter.update(batch(packets[start : start + cut], 1 + start))
    return meter.tick(T0 + round(packets[-1][0] * SECOND)).flows.whole()


@pytest.mark.parametrize("cut", [1, 3, 1000])
def test_connection_is_told_whole(cut: int) -> None:
    (flow,) = flows_of(connection(0.0, 40_000, 100), cut)
    assert (flow["sport"], flow["dport"]) == (40_000, 554)
    assert bytes(flow["src"][:4]) == bytes([10, 20, 0, 5])
    assert (flow["packets_out"], flow["packets_in"]) == (5, 3)
    assert (flow["payload_out"], flow["payload_in"]) == (100, 300)
    assert (flow["syn_out"], flow["syn_in"], flow["fin_out"], flow["fin_in"]) == (1, 1, 1, 1)
    assert flow["server_rtt_us"] == 5000
    assert flow["handshake_rtt_us"] == 6000
    assert FLOW_STATES[flow["state"]] == "closed"
    assert CLIENT_BY[flow["client_by"]] == "syn"
    assert flow["first_payload_ns"] == T0 + 7_000_000
    assert flow["first_answer_ns"] == T0 + 17_000_000
    assert flow["history"] == b"ShADdFf"
    assert (flow["first_packet"], flow["last_packet"]) == (1, 8)
    assert flow["rtt_us"] > 0
    assert flow["retransmits_out"] == flow["dup_acks_out"] == flow["unseen_in"] == 0


@pytest.mark.parametrize("cut", [1, 4, 1000])
def test_port_used_again_starts_another_flow(cut: int) -> None:
    packets = connection(0.0, 40_000, 100) + connection(1.0, 40_000, 77_777)
    flows = np.sort(flows_of(packets, cut), order="id")
    assert [FLOW_ENDS[end] for end in flows["end"]] == ["reused", ""]
    assert flows["packets_out"].tolist() == [5, 5]
    assert flows["syn_out"].tolist() == [1, 1]
    assert flows["retransmits_out"].tolist() == [0, 0]


@pytest.mark.parametrize("cut", [1, 2, 1000])
@pytest.mark.parametrize(("acknowledged", "expected"), [(101, 1), (5000, 2)])
def test_a_syn_is_news_to_a_server_that_acknowledged_something_else(
    cut: int, acknowledged: int, expected: int
) -> None:
    """On a mirror that lost what the client said before; or only changed the order."""
    heard = (0.0, tcp(CAMERA, 554, APPLIANCE, 40_000, "SA", 900, acknowledged))
    flows = flows_of([heard, *connection(0.1, 40_000, 100)], cut)
    assert len(flows) == expected


@pytest.mark.parametrize("cut", [1, 5, 1000])
def test_what_is_said_before_a_port_is_used_again_belongs_to_the_first_flow(cut: int) -> None:
    packets: list[tuple[float, Packet]] = []
    for at, name in ((0.0, b"one"), (1.0, b"two")):
        made = connection(at, 40_000, 100 + round(at * 50_000))
        made[3] = (made[3][0], made[3][1].copy())
        made[3][1][Raw].load = (b"GET / HTTP/1.1\r\nHost: %s.example\r\n\r\n" % name).ljust(100)
        packets += made
    packets.insert(9, (1.0, udp(CAMERA, 30_000, APPLIANCE, 9)))  # opens between the two
    meter = Meter(MeterSettings(), 0)
    for start in range(0, len(packets), cut):
        meter.update(batch(packets[start : start + cut], 1 + start))
    delta = meter.tick(T0 + 2 * SECOND)
    told = {
        message.host: message.flow
        for message in delta.messages
        if isinstance(message, HttpMessage) and message.host
    }
    flows = np.sort(delta.flows.whole(), order="first_packet")
    assert told == {"one.example": flows["id"][0], "two.example": flows["id"][1]}
    assert flows["id"].tolist() == [1, 2, 3]
    assert [APPS[app] for app in flows["app"]] == ["http", "http", None]


def test_an_answer_that_takes_ten_hours_is_told_as_the_longest_round_trip() -> None:
    packets = connection(0.0, 40_000, 100)[:5]
    late = [(36_000.0 + at, packet) for at, packet in connection(0.0, 40_000, 100)[5:]]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (flow,) = flows_of(packets + late, idle_tcp_s=1e6)
    assert flow["rtt_us"] > 10**8


def test_syn_sent_again_is_the_same_attempt() -> None:
    packets = [(at, tcp(APPLIANCE, 41_000, CAMERA, 443, "S", 5)) for at in (0.0, 1.0, 3.0, 7.0)]
    (flow,) = flows_of(packets)
    assert flow["syn_out"] == 4
    assert flow["retransmits_out"] == 3
    assert FLOW_STATES[flow["state"]] == "syn-sent"
    assert flow["handshake_rtt_us"] == flow["server_rtt_us"] == -1


@pytest.mark.parametrize("cut", [1, 4, 1000])
def test_syn_that_comes_after_the_handshake_changes_no_round_trip(cut: int) -> None:
    """A wire may repeat or delay it; tshark's initial round trip stays, and with it what counts
    as out of order: what fills a hole sooner than that."""
    c, s = (APPLIANCE, 40_000, CAMERA, 554), (CAMERA, 554, APPLIANCE, 40_000)
    part = [tcp(*s, "A", 901 + 100 * i, 101, bytes([i]) * 100) for i in range(4)]
    packets = [
        (0.0, tcp(*c, "S", 100)),
        (0.0001, tcp(*s, "SA", 900, 101)),
        (0.015, tcp(*c, "A", 101, 901)),
        (0.016, tcp(*c, "S", 100)),
        (0.020, part[0]),
        (0.021, part[2]),
        (0.022, part[3]),
        (0.030, part[1]),
    ]
    (flow,) = flows_of(packets, cut)
    assert (flow["handshake_rtt_us"], flow["server_rtt_us"]) == (15_000, 100)
    assert (flow["out_of_order_in"], flow["retransmits_in"]) == (1, 0)
    assert flow["retransmits_out"] == 1


def test_refused_and_reset_are_told_apart() -> None:
    refused = [
        (0.0, tcp(APPLIANCE, 1111, CAMERA, 80, "S", 5)),
        (0.001, tcp(CAMERA, 80, APPLIANCE, 1111, "RA", 0, 6)),
    ]
    (flow,) = flows_of(refused)
    assert FLOW_STATES[flow["state"]] == "refused"
    assert (flow["rst_in"], flow["rst_packet"], flow["rst_ttl"]) == (1, 2, 64)
    reset = (0.1, tcp(CAMERA, 554, APPLIANCE, 40_000, "R", 1201))
    (flow,) = flows_of([*connection(0.0, 40_000, 100)[:6], reset])
    assert FLOW_STATES[flow["state"]] == "reset"


def test_flow_caught_in_its_middle_is_marked_and_the_known_port_is_the_server() -> None:
    (flow,) = flows_of([(0.0, tcp(CAMERA, 554, APPLIANCE, 40_000, "A", 50, 60, b"m" * 10))])
    assert FLOW_STATES[flow["state"]] == "mid-stream"
    assert (flow["dport"], CLIENT_BY[flow["client_by"]]) == (554, "port")
    assert (flow["packets_out"], flow["packets_in"]) == (0, 1)


def test_first_packet_decides_where_nothing_else_does() -> None:
    packets = [
        (0.0, udp(CAMERA, 30_001, APPLIANCE, 30_003)),
        (0.1, udp(APPLIANCE, 30_003, CAMERA, 30_001)),
    ]
    (flow,) = flows_of(packets)
    assert (flow["sport"], CLIENT_BY[flow["client_by"]]) == (30_001, "first")
    assert FLOW_STATES[flow["state"]] == "active"


@pytest.mark.parametrize("cut", [1, 1000])
def test_silence_longer_than_the_time_out_ends_a_flow(cut: int) -> None:
    packets = [(at, udp(CAMERA, 30_001, APPLIANCE, 30_003)) for at in (0.0, 1.0, 30.0, 31.0)]
    flows = np.sort(flows_of(packets, cut, idle_udp_s=10.0), order="id")
    assert flows["packets_out"].tolist() == [2, 2]
    assert [FLOW_ENDS[end] for end in flows["end"]] == ["idle", ""]


def test_ticks_alone_end_idle_flows() -> None:
    meter = Meter(MeterSettings(idle_udp_s=10.0), 0)
    meter.update(batch([(0.0, udp(CAMERA, 30_001, APPLIANCE, 30_003))]))
    assert meter.tick(T0 + SECOND).flows["end"].tolist() == [0]
    assert len(meter.tick(T0 + 5 * SECOND).flows) == 0
    assert [FLOW_ENDS[end] for end in meter.tick(T0 + 11 * SECOND).flows["end"]] == ["idle"]
    assert len(meter.flows) == 0


def test_bytes_that_were_acknowledged_but_never_captured_are_counted() -> None:
    packets = connection(0.0, 40_000, 100)
    del packets[4]  # 300 bytes of the answer never reached us, but were acknowledged
    for cut in (1, 1000):
        (flow,) = flows_of(packets, cut)
        assert flow["unseen_in"] == 300
        assert flow["acked_unseen_out"] == 1  # told by the client's acknowledgement
        assert flow["retransmits_in"] == flow["retransmits_out"] == 0


@pytest.mark.parametrize("cut", [1, 1000])
def test_bytes_that_their_acknowledgement_overtook_are_not_counted(cut: int) -> None:
    """A mirror of two directions gives the acknowledgement first, now and then."""
    packets = connection(0.0, 40_000, 100)
    answer, acknowledgement = packets[4][1], packets[5][1]
    packets[4] = (packets[4][0], acknowledgement)
    packets[5] = (packets[5][0], answer)
    (flow,) = flows_of(packets, cut)
    assert flow["unseen_in"] == 0
    assert flow["acked_unseen_out"] == 1


def test_link_seconds_count_every_pair_and_second() -> None:
    meter = Meter(MeterSettings(), 0)
    plain, away = udp(CAMERA, 1, APPLIANCE, 2), udp(CAMERA, 1, "1.1.1.1", 2)
    tagged = Ether(**_MACS) / Dot1Q(vlan=7) / udp(CAMERA, 1, APPLIANCE, 2)[IP]
    meter.update(batch([(0.1, plain), (0.9, tagged), (1.2, away)]))
    rows = meter.tick(T0 + 2 * SECOND).link_seconds
    assert rows["second"].tolist() == [T0 // SECOND, T0 // SECOND + 1]
    assert rows["packets"].tolist() == [2, 1]
    assert rows["bytes"].tolist() == [62 + 66, 62]
    assert rows["tagged"].tolist() == [1, 0]
    assert rows["src_mac"].tolist() == [0x020000000001] * 2
    assert rows["ip4_src"].tolist() == [0x0A14000B] * 2
    assert len(meter.tick(T0 + 3 * SECOND).link_seconds) == 0


def test_routed_copy_of_a_mirror_is_counted_once() -> None:
    first = udp(CAMERA, 30_001, APPLIANCE, 30_003)
    copy = Ether(src="02:00:00:00:00:07", dst="02:00:00:00:00:08") / first[IP].copy()
    copy[IP].ttl -= 1
    meter = Meter(MeterSettings(), 0)
    meter.update(batch([(0.0, first), (0.0005, copy)]))
    delta = meter.tick(T0 + SECOND)
    assert delta.counters.mirror_duplicates == 1
    assert delta.counters.packets == 2
    assert delta.flows["packets_out"].tolist() == [1]
    assert delta.link_seconds["packets"].sum() == 2
    assert delta.link_seconds["repeated"].sum() == 1


def test_copy_is_found_across_batches_and_not_beyond_the_window() -> None:
    packet = udp(CAMERA, 30_001, APPLIANCE, 30_003)
    meter = Meter(MeterSettings(), 0)
    for at in (0.0, 0.001, 0.5):
        meter.update(batch([(at, packet)]))
    assert meter.tick(T0 + SECOND).counters.mirror_duplicates == 1


def test_equal_datagrams_without_identification_are_no_copies() -> None:
    packet = Ether(**_MACS) / IP(src=CAMERA, dst=APPLIANCE, id=0) / UDP(sport=1, dport=2) / b"tick"
    meter = Meter(MeterSettings(), 0)
    meter.update(batch([(at / 10_000, packet) for at in range(10)]))
    delta = meter.tick(T0 + SECOND)
    assert delta.counters.mirror_duplicates == 0
    assert delta.flows["packets_out"].tolist() == [10]


def test_retransmission_within_the_window_is_no_copy() -> None:
    head = connection(0.0, 40_000, 100)[:4]
    again = tcp(APPLIANCE, 40_000, CAMERA, 554, "PA", 101, 901, b"q" * 100)
    (flow,) = flows_of([*head, (0.0075, again)])
    assert flow["retransmits_out"] == 1
    assert flow["packets_out"] == 4


def test_clock_that_steps_back_is_counted() -> None:
    meter = Meter(MeterSettings(), 0)
    packet = udp(CAMERA, 1, APPLIANCE, 2)
    meter.update(batch([(5.0, packet), (4.0, packet)]))
    meter.update(batch([(3.0, packet)]))
    assert meter.tick(T0 + 6 * SECOND).counters.time_steps_back == 2


def test_flow_ids_rise_with_first_packets() -> None:
    packets = [(i / 100, udp(CAMERA, 30_000 + i * 7 % 50, APPLIANCE, 9)) for i in range(50)]
    flows = np.sort(flows_of(packets, 13), order="first_packet")
    assert (np.diff(flows["id"].astype(np.int64)) > 0).all()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(2, 60)), min_size=50, max_size=200))
def test_hash_index_agrees_with_a_dictionary(steps: list[tuple[bool, int]]) -> None:
    index = HashIndex(16)
    truth: dict[int, int] = {}
    free = list(range(16))  # numbers are used again, the oldest first
    for add, key in steps:
        # keys that share buckets, to make them probe
        spread = key % 5 + (key << 40)
        if add and spread not in truth and free:
            truth[spread] = number = free.pop(0)
            index.insert(np.array([spread], np.uint64), np.array([number], np.int32))
        elif not add:
            if spread in truth:
                free.append(truth.pop(spread))
            index.remove(np.array([spread], np.uint64))
        keys = [k % 5 + (k << 40) for k in range(2, 61)]
        found = index.find(np.array(keys, np.uint64)).tolist()
        assert found == [truth.get(k, -1) for k in keys]


def test_bytes_of_a_stream_are_those_of_all_fragments_of_its_packets() -> None:
    packets: list[tuple[float, Packet]] = []
    for k in range(40):
        rtp = b"\x80\x60" + k.to_bytes(2, "big") + (3600 * k).to_bytes(4, "big") + b"ssrc"
        whole = udp(CAMERA, 6970, APPLIANCE, 50_000, rtp + b"\x41" * 1_400)
        at = k * 0.04
        for piece in fragment(whole, 600) if k % 2 else [whole]:
            packets.append((at, piece))
            at += 0.001
    half = len(packets) // 2
    meter = Meter(MeterSettings(), 0, streams=StreamTable(MeterSettings()))
    meter.update(batch(packets[:half]))
    meter.update(batch(packets[half:], 1 + half))
    delta = meter.tick(T0 + 3 * SECOND)
    (row,) = delta.streams
    size = sum(len(bytes(piece)) for _, piece in packets)
    assert (row["packets"], row["lost"], row["bytes"]) == (40, 0, size)
    assert (row["media_bytes"], row["frame_bytes_max"]) == (40 * 1_400, 1_400)
    assert delta.stream_seconds["bytes"].sum() == size


@pytest.mark.parametrize(("asked", "answered"), [(128, 129), (135, 136), (139, 140), (144, 145)])
def test_icmp6_question_and_its_answer_are_one_flow(asked: int, answered: int) -> None:
    here, there = "2001:db8::1", "2001:db8::2"
    meter = Meter(MeterSettings(), 0)
    meter.update(
        batch_of(
            [
                ip(58, bytes((asked, 0)) + bytes(30), src=here, dst=there),
                ip(58, bytes((answered, 0)) + bytes(30), src=there, dst=here),
            ]
        )
    )
    (flow,) = meter.tick(START_NS + SECOND).flows.whole()
    assert (int(flow["packets_out"]), int(flow["packets_in"])) == (1, 1)
