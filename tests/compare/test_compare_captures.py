"""Two captures of made-up traffic: each thing that can happen between two places, by itself."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from panotui.commands.compare_captures import command
from panotui.errors import InputError, UsageError

CAMERA, READER, TRANSLATED = "10.1.0.11", "10.2.0.5", "10.1.0.1"
START = 1_790_000_000.0
AWAY = 0.004  # seconds on the way
SYN, ACK, PSH = 2, 16, 8
SCHEMA = Draft202012Validator(
    json.loads(resources.files("panotui.compare").joinpath("schema.json").read_text("utf-8"))
)


@dataclass(frozen=True)
class Packet:
    """One packet, and when the first place saw it; `back` ones pass the second place first."""

    at: float
    src: str
    sport: int
    dst: str
    dport: int
    body: bytes
    protocol: int = 17
    ident: int = 0
    ttl: int = 64
    numbers: tuple[int, int] = (0, 0)
    flags: int = ACK
    back: bool = False

    def frame(self) -> bytes:
        if self.protocol == 6:
            head = struct.pack(
                "!HHIIBBHHH", self.sport, self.dport, *self.numbers, 0x50, self.flags, 500, 0, 0
            )
        else:
            head = struct.pack("!HHHH", self.sport, self.dport, 8 + len(self.body), 0)
        rest = head + self.body
        if ":" in self.src:
            ends = IPv6Address(self.src).packed + IPv6Address(self.dst).packed
            ip = struct.pack("!IHBB", 6 << 28, len(rest), self.protocol, self.ttl) + ends
            kind = 0x86DD
        else:
            ends = IPv4Address(self.src).packed + IPv4Address(self.dst).packed
            ip = struct.pack(
                "!BBHHHBBH", 0x45, 0, 20 + len(rest), self.ident, 0, self.ttl, self.protocol, 0
            )
            ip += ends
            kind = 0x0800
        return bytes.fromhex("0200000000a10200000000b2") + struct.pack("!H", kind) + ip + rest


def rtp(count: int, ssrc: int = 0x1234, sport: int = 5000, spacing: float = 0.02) -> list[Packet]:
    """A stream from the camera to the reader."""
    return [
        Packet(
            START + n * spacing, CAMERA, sport, READER, 6000,
            struct.pack("!BBHII", 0x80, 96, n & 0xFFFF, n * 3600, ssrc) + bytes([n & 255]) * 80,
            ident=n + 1,
        )
        for n in range(count)
    ]  # fmt: skip


def questions(count: int, spacing: float = 0.5) -> list[Packet]:
    """What goes both ways, so that the clocks are known: a question and its answer."""
    out = []
    for n in range(count):
        at, body = START + 0.1 + n * spacing, b"question %06d" % n
        out.append(Packet(at, CAMERA, 4000, READER, 53, body, ident=7000 + n))
        out.append(
            Packet(at + 0.03, READER, 53, CAMERA, 4000, b"answer" + body, ident=9000 + n, back=True)
        )
    return out


def save(path: Path, packets: Sequence[tuple[float, bytes]], snap: int = 65_535) -> Path:
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, snap, 1))
        for at, frame in sorted(packets, key=lambda p: p[0]):
            whole, part = divmod(round(at * 1e9), 10**9)
            file.write(struct.pack("<IIII", whole, part, min(len(frame), snap), len(frame)))
            file.write(frame[:snap])
    return path


def two(
    folder: Path,
    packets: Sequence[Packet],
    between: Callable[[int, Packet], Sequence[tuple[float, Packet]]] | None = None,
    clock: Callable[[float], float] = lambda at: at,
    snap: int = 65_535,
) -> tuple[Path, Path]:
    """Both captures; `between` gives what comes out at the other side, with seconds more on the
    way, for what goes from the first place to the second."""
    first, second = [], []
    for number, packet in enumerate(packets):
        arrived: Sequence[tuple[float, Packet]] = [(0.0, packet)]
        if packet.back:
            second.append((clock(packet.at - AWAY), packet.frame()))
        elif between is not None:
            arrived = between(number, packet)
        first.append((packet.at, packet.frame()))
        if not packet.back:
            second += [(clock(packet.at + AWAY + more), p.frame()) for more, p in arrived]
    return save(folder / "a.pcap", first, snap), save(folder / "b.pcap", second, snap)


def compare(*args: str | Path) -> dict[str, Any]:
    done = CliRunner().invoke(command, ["--json", *map(str, args)], standalone_mode=False)
    if done.exception is not None:
        raise done.exception
    answer: dict[str, Any] = json.loads(done.stdout)
    SCHEMA.validate(answer)
    return answer


def stream(answer: dict[str, Any]) -> dict[str, Any]:
    (one,) = answer["streams"]
    return dict(one)


def test_what_arrives_whole_is_told_so(tmp_path: Path) -> None:
    answer = compare(*two(tmp_path, rtp(1000) + questions(40)))
    found = stream(answer)
    assert (found["packets"], found["matched"], found["lost"], found["appeared"]) == (
        1000, 1000, 0, 0
    )  # fmt: skip
    assert found["delay"]["median_ms"] == pytest.approx(1000 * AWAY, abs=0.01)
    assert answer["sentence"] == "no stream loses a packet between A and B (1 stream)."
    assert answer["clock"]["offset_s"] == pytest.approx(0, abs=1e-5)
    assert all(flow["lost"] == 0 for flow in answer["flows"])
    assert {flow["first_seen_at"] for flow in answer["flows"]} == {"a", "b"}


@pytest.mark.parametrize("turned", [False, True])
def test_losses_are_counted_of_the_place_that_packets_pass_first(
    tmp_path: Path, turned: bool
) -> None:
    gone = set(random.Random(3).sample(range(20, 980), 37))
    files = two(tmp_path, rtp(1000) + questions(40), lambda n, p: [] if n in gone else [(0, p)])
    answer = compare(*(reversed(files) if turned else files))
    found = stream(answer)
    assert (found["lost"], found["packets"]) == (37, 1000)
    assert found["first_seen_at"] == ("b" if turned else "a")
    assert found["loss"] == pytest.approx(0.037)
    assert len(found["first_lost"]) == 8
    assert "loses 3.7 % (37 of 1,000 packets)" in answer["sentence"]


def test_clocks_that_are_apart_and_drift_change_no_count(tmp_path: Path) -> None:
    files = two(
        tmp_path, rtp(3000) + questions(110), lambda n, p: [] if n % 100 == 7 else [(0, p)],
        clock=lambda at: at - 3.0 - (at - START) * 50e-6,
    )  # fmt: skip
    answer = compare(*files)
    assert stream(answer)["lost"] == 30
    assert answer["clock"]["offset_s"] == pytest.approx(-3.0, abs=0.001)
    assert answer["clock"]["drift_ppm"] == pytest.approx(-50, abs=2)
    assert stream(answer)["delay"]["max_ms"] == pytest.approx(1000 * AWAY, abs=0.2)


def test_translation_and_a_router_are_told_as_changed_fields(tmp_path: Path) -> None:
    def translate(number: int, packet: Packet) -> list[tuple[float, Packet]]:
        if number % 50 == 9:
            return []
        return [(0.0, replace(packet, src="198.51.100.9", sport=61_000, ttl=63))]

    answer = compare(*two(tmp_path, rtp(1000), translate))
    found = stream(answer)
    assert found["lost"] == 20
    changes = {c["field"]: (c["before"], c["after"]) for c in found["changes"]}
    assert changes == {
        "src": (CAMERA, "198.51.100.9"), "sport": ("5000", "61000"), "ttl": ("64", "63")
    }  # fmt: skip


def test_new_identifications_are_no_other_packets(tmp_path: Path) -> None:
    files = two(
        tmp_path, rtp(1000) + questions(40), lambda n, p: [(0, replace(p, ident=40_000 - n))]
    )
    found = stream(compare(*files))
    assert (found["matched"], found["lost"], found["appeared"]) == (1000, 0, 0)


@pytest.mark.parametrize("six", [False, True])
def test_a_segment_that_is_sent_again_is_another_packet(tmp_path: Path, six: bool) -> None:
    src, dst = ("2001:db8::11", "2001:db8:1::5") if six else (CAMERA, READER)
    packets = []
    for n in range(400):
        one = Packet(
            START + n * 0.02, src, 554, dst, 40_000, b"%05d" % n + bytes(700), 6,
            0 if six else n + 1, numbers=(1000 + 705 * n, 1), flags=ACK | PSH,
        )  # fmt: skip
        packets.append(one)
        if n % 40 == 11:  # sent again after 250 ms
            packets.append(replace(one, at=one.at + 0.25, ident=0 if six else 30_000 + n))
    packets.sort(key=lambda p: p.at)
    seen: set[bytes] = set()

    def lose_the_first(number: int, packet: Packet) -> list[tuple[float, Packet]]:
        again = sum(1 for p in packets if p.body == packet.body) > 1
        if again and packet.body not in seen:
            seen.add(packet.body)
            return []
        return [(0.0, packet)]

    answer = compare(*two(tmp_path, packets, lose_the_first))
    (flow,) = answer["flows"]
    assert (flow["packets"], flow["lost"], flow["appeared"]) == (410, 10, 0)
    assert flow["delay"]["max_ms"] < 100


def segments(
    count: int, size: int = 1448, six: bool = False, back: int = 4
) -> tuple[list[Packet], list[Packet]]:
    """A connection that carries `count` segments, and what acknowledges each `back`th; its
    numbers pass 2^32 on the way."""
    src, dst = ("2001:db8::11", "2001:db8:1::5") if six else (CAMERA, READER)
    first = 2**32 - 40_000
    data, acks = [], []
    for n in range(count):
        number = (first + size * n) % 2**32
        data.append(
            Packet(
                START + n * 0.004, src, 554, dst, 40_000, b"%06d" % n + bytes(size - 6), 6,
                0 if six else n + 1, numbers=(number, 77), flags=ACK,
            )
        )  # fmt: skip
        if n % back == back - 1:
            acks.append(
                Packet(
                    START + n * 0.004 + 0.02, dst, 40_000, src, 554, b"", 6, 0 if six else n + 1,
                    numbers=(77, (number + size) % 2**32), back=True,
                )
            )  # fmt: skip
    return data, acks


def joined(data: Sequence[Packet], most: int) -> list[Packet]:
    """What a network card makes of them: neighbours are one segment."""
    out: list[Packet] = []
    for packet in data:
        last = out[-1] if out else None
        if (
            last is not None
            and (last.numbers[0] + len(last.body)) % 2**32 == packet.numbers[0]
            and len(last.body) + len(packet.body) <= most
        ):
            out[-1] = replace(last, body=last.body + packet.body, at=packet.at)
        else:
            out.append(packet)
    return out


@pytest.mark.parametrize("six", [False, True])
@pytest.mark.parametrize("turned", [False, True])
def test_segments_that_a_network_card_joined_are_the_same_segments(
    tmp_path: Path, six: bool, turned: bool
) -> None:
    data, acks = segments(2000, six=six)
    gone = set(range(15, 1900, 97))
    again = [
        replace(p, at=p.at + 0.2, ident=0 if six else 40_000 + n)
        for n, p in enumerate(data) if n in gone
    ]  # fmt: skip
    sent = sorted([*data, *again], key=lambda p: p.at)
    arrived = sorted([p for n, p in enumerate(data) if n not in gone] + again, key=lambda p: p.at)
    whole = [(p.at, p.frame()) for p in (*sent, *acks)]
    pieces = [(p.at + AWAY, p.frame()) for p in joined(arrived, 30_000)]
    assert len(pieces) < len(sent) / 5
    files = (
        save(tmp_path / "a.pcap", whole),
        save(tmp_path / "b.pcap", [*pieces, *((p.at - AWAY, p.frame()) for p in acks)]),
    )
    answer = compare(*(reversed(files) if turned else files))
    (flow,) = (f for f in answer["flows"] if f["sport"] == 554)
    assert (flow["packets"], flow["lost"], flow["appeared"]) == (len(sent), len(gone), 0)
    assert flow["lost_bytes"] == 1448 * len(gone)
    assert flow["first_seen_at"] == ("b" if turned else "a")
    assert not answer["absent"]
    assert any("joined or cut" in note for note in answer["notes"])


def test_a_sender_that_leaves_the_cutting_to_its_card_loses_what_is_lost(tmp_path: Path) -> None:
    data, acks = segments(1200)
    gone = {100, 101, 500}
    large = joined([replace(p, at=START + n // 20 * 0.08) for n, p in enumerate(data)], 28_960)
    a = save(tmp_path / "a.pcap", [(p.at, p.frame()) for p in (*large, *acks)])
    b = save(
        tmp_path / "b.pcap",
        [(START + n // 20 * 0.08 + AWAY, p.frame()) for n, p in enumerate(data) if n not in gone]
        + [(p.at - AWAY, p.frame()) for p in acks],
    )
    answer = compare(a, b)
    (flow,) = (f for f in answer["flows"] if f["sport"] == 554)
    assert (flow["lost"], flow["lost_bytes"], flow["appeared"]) == (3, 3 * 1448, 0)


def test_a_connection_of_which_no_segment_is_whole_at_both_places_is_found_by_its_ends(
    tmp_path: Path,
) -> None:
    data, _ = segments(400)
    a = save(tmp_path / "a.pcap", [(p.at, p.frame()) for p in data])
    b = save(tmp_path / "b.pcap", [(p.at + AWAY, p.frame()) for p in joined(data, 30_000)])
    (flow,) = compare(a, b)["flows"]
    assert (flow["lost"], flow["appeared"]) == (0, 0)


def test_a_capture_compared_with_itself_loses_nothing(tmp_path: Path) -> None:
    data, acks = segments(300)
    a, _ = two(tmp_path, [*rtp(1000), *questions(40), *data, *acks])
    answer = compare(a, a)
    assert [s["lost"] for s in answer["streams"] + answer["flows"]] == [0] * 5
    assert not answer["absent"]
    assert answer["a"]["matched"] == answer["a"]["packets"]
    assert answer["clock"]["offset_s"] == 0
    assert "no stream loses a packet" in answer["sentence"]


def test_losses_of_a_stream_over_ip_version_6_are_counted(tmp_path: Path) -> None:
    packets = [
        replace(p, src="2001:db8::11", dst="2001:db8:1::5", ident=0)
        for p in rtp(1000)
    ]  # fmt: skip
    answer = compare(*two(tmp_path, packets, lambda n, p: [] if n % 100 == 3 else [(0, p)]))
    (found,) = answer["streams"] + answer["flows"]
    assert (found["lost"], found["appeared"], found["src"]) == (10, 0, "2001:db8::11")


def fragments(packet: Packet) -> tuple[bytes, bytes]:
    """A datagram over IPv4 in two, each of them half of its bytes."""
    whole = packet.frame()
    ip, rest = whole[14:34], whole[34:]
    cut = len(rest) // 16 * 8
    parts = []
    for part, place in ((rest[:cut], 0x2000), (rest[cut:], cut // 8)):
        head = ip[:2] + struct.pack("!HHH", 20 + len(part), packet.ident, place) + ip[8:]
        parts.append(whole[:14] + head + part)
    return parts[0], parts[1]


def test_fragments_are_the_same_packets_in_whatever_order_they_come(tmp_path: Path) -> None:
    datagrams = [replace(p, body=p.body + bytes(200)) for p in rtp(200)]
    first, second = [], []
    for number, packet in enumerate(datagrams):
        head, tail = fragments(packet)
        first += [(packet.at, head), (packet.at + 0.0001, tail)]
        if number % 50 != 7:
            second.append((packet.at + AWAY, head))
        second.append((packet.at + AWAY - (0.0001 if number % 2 else -0.0001), tail))
    first += [(p.at, p.frame()) for p in questions(8)]
    second += [(p.at + (-AWAY if p.back else AWAY), p.frame()) for p in questions(8)]
    answer = compare(save(tmp_path / "a.pcap", first), save(tmp_path / "b.pcap", second))
    assert sum(p["lost"] for p in answer["streams"] + answer["flows"]) == 4
    assert answer["absent"] == []
    assert answer["b"]["matched"] == answer["b"]["compared"] == answer["a"]["compared"] - 4


def test_what_is_blocked_is_told_first_and_counted_when_it_is_more_than_a_page(
    tmp_path: Path,
) -> None:
    knocks = [
        Packet(
            START + 2 + n / 1000 + again, CAMERA, 20_000 + n, f"10.2.{n // 250}.5", 443, b"", 6,
            numbers=(n * 10 + again, 0), flags=SYN,
        )
        for n in range(1200) for again in range(2)
    ]  # fmt: skip
    files = two(
        tmp_path, rtp(500) + questions(20) + knocks,
        lambda n, p: [] if p.dport == 443 else [(0.0, replace(p, ttl=63))],
    )  # fmt: skip
    answer = compare(*files)
    assert answer["absent_total"] == 1200
    assert len(answer["absent"]) == 1000
    assert all(p["blocked"] and p["packets"] == 2 for p in answer["absent"])
    # five receivers
    assert "and 4 other ways is seen at A and never at B" in answer["sentence"]


def test_losses_stand_in_the_second_in_which_they_were(tmp_path: Path) -> None:
    gone = {*range(300, 320), 700}
    answer = compare(
        *two(tmp_path, rtp(1000) + questions(40), lambda n, p: [] if n in gone else [(0, p)])
    )
    found, strips = stream(answer), answer["strips"]
    assert (strips["cell_s"], strips["start_s"]) == (1, int(START))
    assert len(found["packets_by_cell"]) == len(found["lost_by_cell"]) == strips["count"]
    assert {n: lost for n, lost in enumerate(found["lost_by_cell"]) if lost} == {6: 20, 14: 1}
    assert sum(found["packets_by_cell"]) == 1000


def test_copies_and_order_are_counted(tmp_path: Path) -> None:
    def shuffle(number: int, packet: Packet) -> list[tuple[float, Packet]]:
        if number % 100 == 5:
            return [(0.0, packet), (0.001, packet)]
        return [(0.05 if number % 100 == 50 else 0.0, packet)]

    found = stream(compare(*two(tmp_path, rtp(1000) + questions(40), shuffle)))
    assert (found["lost"], found["duplicated"], found["reordered"]) == (0, 10, 10)
    assert found["delay"]["max_ms"] == pytest.approx(1000 * (AWAY + 0.05), abs=0.1)


def test_what_is_blocked_between_is_named(tmp_path: Path) -> None:
    knocks = [
        Packet(
            START + 3 + n, CAMERA, 41_000, READER, 443, b"", 6, 100 + n, numbers=(5, 0), flags=SYN
        )
        for n in range(4)
    ]  # fmt: skip
    packets = rtp(1000) + questions(40) + knocks
    answer = compare(*two(tmp_path, packets, lambda n, p: [] if p.dport == 443 else [(0, p)]))
    (absent,) = answer["absent"]
    assert (absent["dst"], absent["dport"], absent["seen_at"], absent["packets"]) == (
        READER, 443, "a", 4
    )  # fmt: skip
    assert absent["blocked"]
    assert f"What {CAMERA} sends to {READER}:443 is seen at A and never at B" in answer["sentence"]


def test_what_a_capture_could_not_have_seen_is_no_loss(tmp_path: Path) -> None:
    packets = rtp(1000) + questions(40)
    a, _ = two(tmp_path, packets)
    part = [(p.at + AWAY, p.frame()) for p in packets if 5 < p.at - START < 15 and not p.back]
    part += [(p.at - AWAY, p.frame()) for p in packets if 5 < p.at - START < 15 and p.back]
    b = save(tmp_path / "part.pcap", part)
    found = stream(compare(a, b))
    assert (found["lost"], found["appeared"]) == (0, 0)
    assert found["packets"] == found["matched"] == 499


@pytest.mark.parametrize("snap", [96, 64])
def test_frames_that_are_cut_are_told_apart_as_long_as_they_can_be(
    tmp_path: Path, snap: int
) -> None:
    files = two(
        tmp_path, rtp(1000), lambda n, p: [] if n in (100, 200) else [(0, p)], snap=snap
    )  # fmt: skip
    answer = compare(*files)
    found = (answer["streams"] + answer["flows"])[0]
    assert found["lost"] == 2
    assert any("cut short" in note for note in answer["notes"]) == (snap < 106)


def refused(*args: str | Path, code: int = 3) -> str:
    with pytest.raises(InputError) as error:
        compare(*args)
    assert error.value.exit_code == code
    line = str(error.value)
    assert "\n" not in line
    return line


def test_input_that_cannot_be_compared_is_one_line(tmp_path: Path) -> None:
    a, _ = two(tmp_path, rtp(100))
    other = save(
        tmp_path / "other.pcap",
        [(p.at, p.frame()) for p in (replace(q, body=q.body + b"x") for q in rtp(100))],
    )
    assert "they share no packet" in refused(a, other, code=7)
    late = save(tmp_path / "late.pcap", [(p.at + 7200, p.frame()) for p in rtp(100)])
    assert "their clocks are 2.0 hours apart" in refused(a, late, code=8)
    assert stream(compare("--any-offset", a, late))["lost"] == 0
    short = save(tmp_path / "short.pcap", [(p.at, p.frame()) for p in rtp(100)], snap=48)
    cut = refused(a, short, code=9)
    assert cut.startswith(f"{short}: frames are too short to identify packets.")
    assert refused(short, a, code=9) == cut
    arp = save(tmp_path / "arp.pcap", [(START, bytes(12) + b"\x08\x06" + bytes(46))])
    assert "it holds no IP packet" in refused(a, arp)
    assert "no such file" in refused(a, tmp_path / "nosuch.pcap")
    with pytest.raises(UsageError, match="these are not two names"):
        compare("--names", "one", a, a)


def test_a_file_that_ends_inside_a_packet_is_compared_as_far_as_it_goes(tmp_path: Path) -> None:
    a, b = two(tmp_path, rtp(1000) + questions(40))
    b.write_bytes(b.read_bytes()[: b.stat().st_size // 2 + 7])
    answer = compare(a, b)
    assert stream(answer)["lost"] == 0
    assert any("ends inside a packet" in note for note in answer["notes"])


def test_the_page_says_the_sentence_first(tmp_path: Path) -> None:
    files = two(tmp_path, rtp(1000) + questions(40), lambda n, p: [] if n % 100 == 7 else [(0, p)])
    done = CliRunner().invoke(
        command, ["--names", "switch,appliance", *map(str, files)], standalone_mode=False
    )
    first, _, *rest = done.stdout.splitlines()
    assert first == f"{CAMERA} loses 1.0 % (10 of 1,000 packets) between switch and appliance."
    assert any(line.startswith("Clocks: appliance is 0.0000") for line in rest)


def test_the_html_page_has_the_sentence_both_sides_and_a_strip_beside_a_strip(
    tmp_path: Path,
) -> None:
    knocks = [
        Packet(
            START + 3 + n, CAMERA, 41_000, READER, 443, b"", 6, 100 + n, numbers=(5, 0), flags=SYN
        )
        for n in range(4)
    ]  # fmt: skip
    files = two(
        tmp_path, [*rtp(1000), *questions(40), *knocks],
        lambda n, p: [] if 300 <= n < 350 or p.dport == 443 else [(0.0, replace(p, ttl=63))],
    )  # fmt: skip
    target = tmp_path / "compare.html"
    done = CliRunner().invoke(
        command, ["--names", "switch,<appliance>", "-o", str(target), *map(str, files)],
        standalone_mode=False, catch_exceptions=False,
    )  # fmt: skip
    page = target.read_text("utf-8")
    assert done.stdout.startswith(f"{CAMERA} loses 5.0 % (50 of 1,000 packets)")
    assert (
        f"{CAMERA} loses 5.0 % (50 of 1,000 packets) between switch and &lt;appliance&gt;" in page
    )
    assert "<appliance>" not in page
    assert "something between them blocks it" in page
    assert "<script" not in page
    losing = page[page.index("losing</span>") :]
    assert losing.index("1,000") < losing.index(">950<") < losing.index("5.00 %")
    assert losing.index("5.00 %") < losing.index("ttl 64 &gt; 63")
    drawn = page[page.index("<h2>Over time") :]
    assert drawn.count('<svg class="strip"') >= 4
    assert f"<title>{CAMERA} at switch: 1,000 packets</title>" in drawn
    assert f"<title>{CAMERA} at &lt;appliance&gt;: 950 packets, 50 lost</title>" in drawn
    assert 'class="dead"' in drawn


def test_a_page_that_cannot_be_written_is_said_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no place for a file"):
        compare("-o", tmp_path / "nosuch" / "x.html", tmp_path / "a", tmp_path / "b")
