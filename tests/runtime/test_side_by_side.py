"""Several captures: one answer in one process and in many, cut by port or by time."""

from __future__ import annotations

import io
import os
import struct
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from panotui.engine.engine import Engine
from panotui.errors import InputError, PanotuiError
from panotui.model import SECOND, MeterSettings, PacketBatch, Site, SourceCounters
from panotui.report.analysis import analysis
from panotui.runtime import pipe
from panotui.runtime.file_meter import FileMeter
from panotui.runtime.plan import METERS_MOST, chains, plan
from panotui.runtime.pump import Pump
from panotui.runtime.side_by_side import MeterProcess, processes_for, run_files
from panotui.runtime.survey import survey
from panotui.runtime.work import MeterWork, Survey, decode_answer
from panotui.site.file import load_site
from panotui.sources import open_file
from tests.sources import made

DEMO = Path(__file__).parents[2] / "panotui" / "sources" / "demo"
CAPTURE = DEMO / "site.pcapng.zst"


def _block(kind: int, body: bytes) -> bytes:
    body += bytes(-len(body) % 4)
    size = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + size + body + size


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + value + bytes(-len(value) % 4)


def _write(path: Path, rows: Iterator[tuple[PacketBatch, np.ndarray]]) -> str:
    """A pcapng with the chosen rows of batches; its interfaces are those of the first batch."""
    with path.open("wb") as out:
        section = struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)
        out.write(_block(0x0A0D0D0A, section))
        begun = False
        for batch, chosen in rows:
            if not begun:
                begun = True
                for interface in batch.interfaces:
                    options = _option(2, interface.name.encode()) + _option(9, b"\x09") + bytes(4)
                    head = struct.pack("<HHI", interface.linktype, 0, 0)
                    out.write(_block(1, head + options))
            for row in chosen.tolist():
                at, size = int(batch.offset[row]), int(batch.captured[row])
                time_ns = int(batch.time_ns[row])
                head = struct.pack(
                    "<IIIII", int(batch.interface[row]), time_ns >> 32, time_ns & 0xFFFFFFFF,
                    size, int(batch.wire_length[row]),
                )  # fmt: skip
                out.write(_block(6, head + batch.data[at : at + size].tobytes()))
    return str(path)


def _rows(
    keep: Callable[[PacketBatch], np.ndarray],
) -> Iterator[tuple[PacketBatch, np.ndarray]]:
    source = open_file(str(CAPTURE))
    while not source.ended:
        batch = source.read(1.0)
        if batch is not None and len(batch):
            yield batch, np.flatnonzero(keep(batch))
    source.close()


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The demo's capture as two: a file a port."""
    folder = tmp_path_factory.mktemp("ports")
    return [
        _write(folder / f"port{i}.pcapng", _rows(lambda b, i=i: b.interface == i)) for i in (0, 1)
    ]


@pytest.fixture(scope="module")
def rotated(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The demo's capture, cut every 23 seconds."""
    folder = tmp_path_factory.mktemp("rotated")
    first = survey(str(CAPTURE)).first_ns
    files = []
    for number in range(3):
        low, high = first + number * 23 * SECOND, first + (number + 1) * 23 * SECOND

        def within(b: PacketBatch, low: int = low, high: int = high) -> np.ndarray:
            chosen: np.ndarray = (b.time_ns >= low) & (b.time_ns < high)
            return chosen

        files.append(_write(folder / f"night_{number:05}.pcapng", _rows(within)))
    return files


@pytest.fixture(scope="module")
def site() -> Site:
    return load_site(DEMO / "site.toml")


def _analysed(files: Sequence[str], site: Site, processes: int = 1) -> dict[str, Any]:
    engine = Engine(site)
    run_files(files, engine, processes=processes)
    return analysis(engine)


@pytest.fixture(scope="module")
def whole(site: Site) -> dict[str, Any]:
    """What one pump says of the uncut capture."""
    engine = Engine(site)
    source = open_file(str(CAPTURE))
    Pump([source], engine, files=[str(CAPTURE)]).run()
    source.close()
    return analysis(engine)


def _without_files(answer: dict[str, Any]) -> dict[str, Any]:
    source = {k: v for k, v in answer["source"].items() if k not in ("files", "format")}
    return {**answer, "source": source}


def test_two_processes_give_the_answer_of_one(
    ports: list[str], rotated: list[str], site: Site
) -> None:
    for files in (ports, [*ports, *rotated]):
        alone = _analysed(files, site)
        assert _analysed(files, site, processes=2) == alone
        assert alone["streams"]
        assert alone["findings"]


def test_the_order_of_the_names_changes_no_number(ports: list[str], site: Site) -> None:
    forth, back = _analysed(ports, site), _analysed(ports[::-1], site)
    for table in ("flows", "streams"):
        assert Counter((r["src"], r["dport"], r["packets"]) for r in forth["streams"]) == Counter(
            (r["src"], r["dport"], r["packets"]) for r in back["streams"]
        )
        assert len(forth[table]) == len(back[table])


def test_a_rotated_capture_gives_the_answer_of_the_uncut_one(
    rotated: list[str], site: Site, whole: dict[str, Any]
) -> None:
    # Flow ids, packet numbers, sequence numbers across the cut: everything.
    assert _without_files(_analysed(rotated, site)) == _without_files(whole)
    assert _without_files(_analysed(rotated[::-1], site)) == _without_files(whole)


def test_a_file_a_port_gives_the_answer_of_one_file_with_both(
    ports: list[str], site: Site, whole: dict[str, Any]
) -> None:
    split = _analysed(ports, site, processes=2)
    numbers = {"id", "flow", "stream", "packet", "first_packet", "last_packet", "streams"}

    def plain(thing: Any) -> Any:
        if isinstance(thing, dict):
            return {k: plain(v) for k, v in thing.items() if k not in numbers}
        return [plain(entry) for entry in thing] if isinstance(thing, list) else thing

    for table in ("streams", "cameras", "endpoints", "violations", "findings", "ports", "clock"):
        assert plain(split[table]) == plain(whole[table]), table

    def totals(answer: dict[str, Any]) -> dict[str, tuple[int, ...]]:
        # A five-tuple that is heard on both ports (IGMP of all hosts) is a flow on each.
        out: dict[str, tuple[int, ...]] = {}
        for row in answer["flows"]:
            counts = [row[f"{n}_{d}"] for n in ("packets", "bytes") for d in ("out", "in")]
            known = out.get(row["community_id"], (0, 0, 0, 0))
            out[row["community_id"]] = tuple(np.add(known, counts).tolist())
        return out

    assert totals(split) == totals(whole)
    assert {f["verdict"] for f in split["flows"]} == {f["verdict"] for f in whole["flows"]}


def test_news_crosses_a_pipe_unchanged(ports: list[str]) -> None:
    planned = plan([survey(file) for file in ports], MeterSettings())
    seen = 0
    for order in planned.orders:
        meter = FileMeter(
            order, planned.interfaces, planned.ticks, planned.final_ns, MeterSettings()
        )
        for one in meter.news():
            again = decode_answer(pipe.encode_news(one), planned.interfaces)
            assert isinstance(again, pipe.News)
            assert again.order() == one.order()
            assert again.source == one.source
            assert again.delta.messages == one.delta.messages
            assert again.delta.counters == one.delta.counters
            assert again.delta.interfaces == one.delta.interfaces
            for table in ("flows", "streams", "stream_seconds", "link_seconds"):
                sent, come = getattr(one.delta, table), getattr(again.delta, table)
                assert len(come) == len(sent)
                assert come.tobytes() == sent.tobytes()
            seen += len(one.delta.flows)
    assert seen > 100


def _survey(name: str, first_s: float, last_s: float) -> Survey:
    first, last = int(first_s * SECOND), int(last_s * SECOND)
    seconds = np.arange(first // SECOND, last // SECOND + 1)
    return Survey(
        file=name, packets=10, first_ns=first, last_ns=last, interfaces=(),
        seconds=seconds.tobytes(), counters=SourceCounters(),
    )  # fmt: skip


def test_captures_that_follow_each_other_share_a_meter_and_overlapping_ones_do_not() -> None:
    idle_ns = 300 * SECOND
    a1, a2 = _survey("eth0_1", 100, 200), _survey("eth0_2", 200.1, 300)
    b1, b2 = _survey("eth1_1", 101, 199), _survey("eth1_2", 201, 299)
    assert chains([a1, b1, a2, b2], idle_ns) == [[0, 2], [1, 3]]
    assert chains([a2, a1], idle_ns) == [[1, 0]]
    later = _survey("eth0_3", 1000, 1100)  # every flow of before is idle by then
    assert chains([a1, later], idle_ns) == [[0], [1]]
    early = _survey("eth0_2", 199.995, 300)  # a packet or two out of order at the cut
    assert chains([a1, early], idle_ns) == [[0, 1]]


def test_more_captures_than_the_engine_names_meters_still_fit() -> None:
    many = [_survey(f"{i}", 100 + i, 400 + i) for i in range(300)]
    found = chains(many, 300 * SECOND)
    assert len(found) == METERS_MOST
    assert sorted(i for chain in found for i in chain) == list(range(300))


def test_ticks_are_those_of_one_pump_over_all_packets() -> None:
    surveys = [_survey("a", 100.5, 103), _survey("b", 102.5, 104), _survey("c", 7304, 7310)]
    ticks = plan(surveys, MeterSettings()).ticks // SECOND
    assert ticks[:4].tolist() == [101, 102, 103, 104]
    assert len(ticks) < 200  # two hours of nothing are not ticked second by second
    assert ticks[-1] == 7_310
    assert (np.diff(ticks) > 0).all()


def test_a_meter_process_that_dies_is_one_clear_line(
    ports: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = MeterProcess.ask

    def ask_and_kill(self: MeterProcess, work: Any) -> None:
        if isinstance(work, MeterWork):
            self.process.kill()
            self.process.wait()
        ask(self, work)

    monkeypatch.setattr(MeterProcess, "ask", ask_and_kill)
    with pytest.raises(PanotuiError, match="killed by signal 9 before it was done") as caught:
        run_files(ports, Engine(Site()), processes=2)
    assert "\n" not in str(caught.value)


def test_what_a_meter_process_cannot_read_is_told_with_its_exit_code(
    ports: list[str], tmp_path: Path
) -> None:
    bad = tmp_path / "notes.pcap"
    bad.write_text("these are no packets")
    for processes in (1, 2):
        with pytest.raises(PanotuiError, match=r"notes\.pcap") as caught:
            run_files([*ports, str(bad)], Engine(Site()), processes=processes)
        assert caught.value.exit_code == InputError.exit_code


def test_a_pipe_that_ends_inside_a_frame_is_an_end() -> None:
    out = io.BytesIO()
    pipe.write_frame(out, b"some content")
    for cut in range(len(out.getvalue())):
        assert pipe.read_frame(io.BytesIO(out.getvalue()[:cut])) is None
    assert pipe.read_frame(io.BytesIO(out.getvalue())) == b"some content"


def test_small_captures_are_not_worth_a_process(ports: list[str]) -> None:
    assert processes_for(ports) == 1
    assert processes_for(ports, 2) == 2
    assert processes_for(ports, 9) == len(ports)
    assert processes_for(["-", *ports], 2) == 1
    # a name that is not UTF-8 does not pass to a process
    assert processes_for([*ports, os.fsdecode(b"caf\xe9.pcap")], 2) == 1


def _gappy(path: Path, told: int, *, dropped: int = 0, beside: bool = False) -> str:
    """Half a minute of RTP without signalling that misses packets, as a pcapng that tells how many
    its capture has dropped: in all at its end, or `beside` the packet after every second gap."""
    frames = []
    said: list[bytes] = []
    for number in range(3_000):
        if number % 100 in (40, 41):
            continue
        rtp = struct.pack("!BBHII", 0x80, 96, number, number // 4 * 3_600, 7) + b"\x41" * 400
        udp = struct.pack("!HHHH", 6000 + told, 5000, 8 + len(rtp), 0) + rtp
        head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0)
        ends = bytes([10, 20, 0, 11]) + bytes([10, 20, 0, 5])
        frame = bytes(12) + b"\x08\0" + head + ends + udp
        frames.append(made.Frame(frame, 10**18 + number * 10**7))
        late = beside and number % 200 == 42
        said.append(made.option(4, (2).to_bytes(8, "little")) + bytes(4) if late else b"")
    data = made.pcapng([])
    data += b"".join(made.enhanced(f, options=o) for f, o in zip(frames, said, strict=True))
    if dropped:
        data += made.block(5, bytes(12) + made.option(5, dropped.to_bytes(8, "little")))
    path.write_bytes(data)
    return str(path)


@pytest.mark.parametrize("dropped", [60, 0])
def test_what_a_capture_says_it_dropped_makes_its_losses_uncertain_in_every_arrangement(
    tmp_path: Path, dropped: int
) -> None:
    files = [_gappy(tmp_path / "a.pcapng", 1, dropped=dropped), _gappy(tmp_path / "b.pcapng", 2)]
    answers = [_analysed(files, Site(), processes) for processes in (1, 2)]
    assert answers[0] == answers[1]
    engine = Engine(Site())
    source = open_file(files[0])
    Pump([source], engine, files=files[:1]).run()
    source.close()
    for answer in (answers[0], analysis(engine)):
        assert answer["source"]["lost"] == dropped
        assert {s["lost"] for s in answer["streams"]} == {60}
        assert {s["uncertain"] for s in answer["streams"]} == {bool(dropped)}
        # when it dropped them is not told: none is said to be its own
        assert {s["capture_lost"] for s in answer["streams"]} == {0}
        loss = [f for f in answer["findings"] if f["id"] == "stream-loss"]
        assert loss
        assert {f["confidence"] for f in loss} == {"possible" if dropped else "certain"}
        assert any("capture itself missed" in d for f in loss for d in f["detail"]) == bool(dropped)
        assert ("rx-dropped" in {f["id"] for f in answer["findings"]}) == bool(dropped)


def test_drops_told_beside_packets_claim_the_gaps_before_them_in_every_arrangement(
    tmp_path: Path,
) -> None:
    files = [_gappy(tmp_path / f"{n}.pcapng", n, beside=n == 1) for n in (1, 2)]
    answers = [_analysed(files, Site(), processes) for processes in (1, 2)]
    assert answers[0] == answers[1]
    engine = Engine(Site())
    source = open_file(files[0])
    Pump([source], engine, files=files[:1]).run()
    source.close()
    alone = analysis(engine)
    assert alone["source"]["lost"] == answers[0]["source"]["lost"] == 30
    for answer in (answers[0], alone):
        stream = next(s for s in answer["streams"] if s["sport"] == 6001)
        assert (stream["lost"], stream["capture_lost"], stream["uncertain"]) == (60, 30, True)
    other = next(s for s in answers[0]["streams"] if s["sport"] == 6002)
    assert (other["lost"], other["capture_lost"], other["uncertain"]) == (60, 0, False)
