"""Floods, copies and cuts through engine and pump: exact where it matters, bounded elsewhere."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Raw

from panotui.engine.engine import Engine
from panotui.model import SECOND, Interface, MeterSettings, PacketBatch, Site
from panotui.report.analysis import analysis
from panotui.runtime.pump import Pump
from panotui.sources import open_file
from tests.captures import capture
from tests.meter.flows.test_flood import batch, frames
from tests.meter.random_tcp import conversations, pcap

START = 1_760_000_000 * SECOND


class Given:
    """A source of batches that are at hand."""

    def __init__(self, batches: Sequence[PacketBatch]) -> None:
        from panotui.model import SourceCounters

        self._left = list(batches)
        self.interfaces = list(batches[0].interfaces)
        self.counters = SourceCounters(format="made")

    @property
    def ended(self) -> bool:
        return not self._left

    def read(self, timeout_s: float) -> PacketBatch | None:
        return self._left.pop(0) if self._left else None

    def close(self) -> None:
        self._left = []


def answer(batches: Sequence[PacketBatch], settings: MeterSettings | None = None) -> dict[str, Any]:
    engine = Engine(Site())
    Pump([Given(batches)], engine, settings).run()
    whole: dict[str, Any] = analysis(engine)
    return whole


# ------------------------------------------------------------------ floods


@pytest.mark.slow
def test_conversations_keep_exact_counts_in_the_json_through_a_flood() -> None:
    """240,000 flows of a SYN flood, a UDP spray and a port scan around 50 conversations.

    The conversations have begun before: a lone first packet within a flood is like the flood's.
    """
    random = np.random.default_rng(3)
    batches = []
    sent = np.zeros(50, np.int64)
    for second in range(6):
        n = 16_000
        number = np.arange(second * n, (second + 1) * n)
        syn = frames(0xC6336400 + number, number & 0xFFFF, np.full(n, 0x0A000001),
                     np.full(n, 80), tcp=True)  # fmt: skip
        spray = frames(0xCB007100 + number, 1024 + (number & 0x7FFF), np.full(n, 0x0A000002),
                       1024 + number % 30_000, tcp=False)  # fmt: skip
        scan = frames(np.full(n, 0xC0000209), np.full(n, 55_555), 0x0A020000 + number % 256,
                      1 + number % 65_000, tcp=True)  # fmt: skip
        who = np.tile(np.arange(50), 20)
        back = np.repeat(np.arange(20), 50) % 2 == 1
        near, far = 0x0A010000 + who, np.full(1000, 0xC0A80001)
        ports, other = 40_000 + who, np.full(1000, 9000)
        good = frames(
            np.where(back, far, near), np.where(back, other, ports), np.where(back, near, far),
            np.where(back, ports, other), tcp=False, identification=1 + second * 1000 + who * 20,
        )  # fmt: skip
        good[:, 44:46] = np.arange(1000, dtype=">u2").view(np.uint8).reshape(-1, 2)
        sent += 20
        data = np.concatenate([syn, spray, scan, good]) if second else good
        data = data[random.permutation(len(data))]
        times = START + second * SECOND + np.arange(len(data)) * (SECOND // (len(data) + 1))
        batches.append(batch(data, times, 1 + sum(map(len, batches))))
    whole = answer(batches, MeterSettings(flows_max=8192))
    assert whole["limits"]["mirror_duplicates"] == 0
    good_flows = [f for f in whole["flows"] if f["dport"] == 9000]
    assert len(good_flows) == 50
    assert [f["packets_out"] + f["packets_in"] for f in good_flows] == sent.tolist()
    assert whole["limits"]["flows_evicted"] > 200_000
    assert len(whole["flows"]) <= 65_536
    assert whole["source"]["packets"] == 1000 + 5 * 49_000


# ------------------------------------------------------------------ copies of a mirror


def packets(made: Sequence[tuple[bytes, int, int]]) -> PacketBatch:
    """(frame, microseconds, interface) as one batch."""
    sizes = np.array([len(frame) for frame, _, _ in made], np.int64)
    return PacketBatch(
        np.frombuffer(b"".join(frame for frame, _, _ in made) + bytes(64), np.uint8),
        np.concatenate(([0], np.cumsum(sizes)[:-1])).astype(np.int64), sizes, sizes,
        np.array([START + us * 1000 for _, us, _ in made], np.int64),
        np.array([number for _, _, number in made], np.int16),
        [Interface("mir0", 1), Interface("mir1", 1)],
    )  # fmt: skip


def segment(i: int, *, ttl: int = 64, hop: int = 5, tag: int | None = None, ident: int = -1,
            flags: str = "PA", size: int = 100, seq: int | None = None) -> bytes:  # fmt: skip
    link = Ether(src=f"02:00:00:00:00:{hop:02x}", dst=f"02:00:00:00:01:{hop:02x}")
    head = IP(src="10.0.0.1", dst="10.0.0.2", ttl=ttl, id=i + 1 if ident < 0 else ident,
              flags="DF")  # fmt: skip
    body = TCP(sport=4000, dport=9999, flags=flags, seq=1000 + i * size if seq is None else seq,
               ack=1)  # fmt: skip
    inside = head / body / Raw(b"z" * size)
    return bytes(link / inside if tag is None else link / Dot1Q(vlan=tag) / inside)


@pytest.mark.parametrize(
    ("what", "copy"),
    [
        ("as it was", {}),
        ("one hop on", {"ttl": 63, "hop": 7}),
        ("with a tag", {"tag": 20}),
        ("one hop on, with a tag", {"ttl": 63, "hop": 7, "tag": 30}),
    ],
)
@pytest.mark.parametrize("interface", [0, 1], ids=["one interface", "two interfaces"])
def test_copies_are_counted_once_and_told(what: str, copy: dict[str, int], interface: int) -> None:
    made = []
    for i in range(40):
        made.append((segment(i), i * 10_000, 0))
        made.append((segment(i, **copy), i * 10_000 + 100, interface))
    whole = answer([packets(made)])
    (flow,) = whole["flows"]
    assert whole["source"]["packets"] == 80
    assert whole["limits"]["mirror_duplicates"] == 40
    assert (flow["packets_out"], flow["retransmits"]) == (40, 0)


def test_copies_of_one_direction_only(tmp_path: Path) -> None:
    made: list[tuple[bytes, int, int]] = []
    for i in range(40):
        made += [(segment(i), i * 10_000, 0), (segment(i), i * 10_000 + 50, 0)]
        answered = IP(src="10.0.0.2", dst="10.0.0.1", id=0, flags="DF") / TCP(
            sport=9999, dport=4000, flags="A", seq=1, ack=1100 + i * 100
        )
        made.append((bytes(Ether() / answered), i * 10_000 + 500, 0))
    (flow,) = (whole := answer([packets(made)]))["flows"]
    assert (flow["packets_out"], flow["packets_in"]) == (40, 40)
    assert whole["limits"]["mirror_duplicates"] == 40


def test_what_a_sender_says_twice_is_no_copy() -> None:
    """A segment sent again, a keep-alive, equal datagrams of a sender with a constant id."""
    made: list[tuple[bytes, int, int]] = []
    for i in range(20):
        made += [(segment(i), i * 500_000, 0), (segment(i, ident=900 + i), i * 500_000 + 1500, 0)]
    keep = [
        (segment(0, seq=2999, size=1, flags="A", ident=0), 20_000_000 + i * 1000, 0)
        for i in range(3)
    ]
    equal = bytes(
        Ether() / IP(src="10.0.0.3", dst="10.0.0.4", id=0, flags="DF")
        / UDP(sport=45_000, dport=9999) / Raw(b"the same")
    )  # fmt: skip
    made += keep + [(equal, 30_000_000 + i * 500, 0) for i in range(30)]
    whole = answer([packets(made)])
    assert whole["limits"]["mirror_duplicates"] == 0
    assert sorted(f["packets_out"] for f in whole["flows"]) == [30, 43]


# ------------------------------------------------------------------ cuts and clocks


def whole_batch(path: Path) -> PacketBatch:
    source = open_file(str(path))
    (found,) = [b for _ in range(50) if not source.ended and (b := source.read(0)) is not None]
    return found


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(
    "name", ["lab/gst-udp-basic.pcap", "lab/peers.pcap", "open/zeek__tls_client-certificate.pcap",
             "variants/v-snap96.pcapng"]
)  # fmt: skip
def test_the_answer_does_not_depend_on_how_a_capture_is_cut(name: str, seed: int) -> None:
    found = whole_batch(capture(name))
    random = np.random.default_rng(seed)
    edges = np.unique(random.integers(1, len(found), 20 if seed else 200))
    cuts = [0, *edges.tolist(), len(found)]
    parts = [found.slice(a, b) for a, b in itertools.pairwise(cuts)]
    assert answer(parts) == answer([found])


@pytest.mark.parametrize("seed", [302, 303])
def test_the_answer_over_random_conversations_does_not_depend_on_the_cut(
    seed: int, tmp_path: Path
) -> None:
    """Over minutes, so that time-outs, reuses and findings take part; see `tests.meter`."""
    made = conversations(seed, 60, 30)
    start = made[0][0]
    path = tmp_path / "x.pcap"
    path.write_bytes(pcap([(start + (at - start) * 20, frame) for at, frame in made]))
    found = whole_batch(path)
    edges = np.unique(np.random.default_rng(seed).integers(1, len(found), 400))
    cuts = [0, *edges.tolist(), len(found)]
    parts = [found.slice(a, b) for a, b in itertools.pairwise(cuts)]
    whole, cut = answer([found]), answer(parts)
    assert cut == whole


def moved(found: PacketBatch, time_ns: np.ndarray) -> PacketBatch:
    return PacketBatch(found.data, found.offset, found.captured, found.wire_length,
                       time_ns.astype(np.int64), found.interface, found.interfaces)  # fmt: skip


def totals(whole: dict[str, Any]) -> dict[tuple[Any, ...], list[int]]:
    """Packets and bytes of each direction: a flow that is split may find its client anew."""
    out: dict[tuple[Any, ...], list[int]] = {}
    for f in whole["flows"]:
        client, server = (f["src"], f["sport"]), (f["dst"], f["dport"])
        if f["transport"] == "icmp":
            client, server = (f["src"], 0), (f["dst"], 0)
        for way, ends in (("out", (client, server)), ("in", (server, client))):
            entry = out.setdefault((f["transport"], *ends), [0, 0])
            entry[0] += f[f"packets_{way}"]
            entry[1] += f[f"bytes_{way}"]
    return out


@pytest.mark.parametrize("jump_s", [-7200, -3, 40 * 365 * 86_400, -40 * 365 * 86_400])
def test_a_clock_that_jumps_loses_no_packet(jump_s: int) -> None:
    found = whole_batch(capture("lab/gst-udp-basic.pcap"))
    half = len(found) // 2
    time_ns = found.time_ns.copy()
    time_ns[half:] += jump_s * SECOND
    told = totals(answer([moved(found, time_ns)]))
    want = totals(answer([found]))
    assert told == want


def test_times_of_zero_lose_no_packet() -> None:
    found = whole_batch(capture("lab/gst-udp-basic.pcap"))
    assert totals(answer([moved(found, np.zeros(len(found)))])) == totals(answer([found]))
