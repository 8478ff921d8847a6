"""What a screen must never make a person believe; each test is named for the impression."""

from __future__ import annotations

import asyncio
from collections import Counter

import msgspec
import pytest

from panotui.feed.client import CLOSED
from panotui.feed.codec import FeedError
from panotui.model import SECOND, EventRecord
from panotui.tui.app import Panotui
from panotui.tui.cells import distinct
from panotui.tui.quantities import round_trip
from panotui.tui.session import Session
from panotui.views.frames import Answer, Command, View
from panotui.views.provider import StateProvider
from tests.tui import frames_builder
from tests.tui.frames_builder import Site, flow
from tests.tui.screens import Driven


@pytest.fixture
def site() -> Site:
    return frames_builder.plant()


def test_a_slow_stream_is_not_called_losing(site: Site) -> None:
    site.cameras = tuple(
        msgspec.structs.replace(c, state="streaming") for c in site.cameras if c.streams
    )
    site.streams = tuple(
        msgspec.structs.replace(s, state="slow", loss_now=0.0, lost=0, fps_now=4.0)
        for s in site.streams
    )
    text = Driven(site).text()
    assert "slow" in text
    assert "losing" not in text


def test_the_words_for_reachable_say_whom_they_count(site: Site) -> None:
    """Endpoints that work but are not needed stand in the list and in no number."""
    overview, pane = Driven(site), Driven(site).press("4")
    said = next(line for line in overview.lines() if "CLOUD" in line).split("CLOUD")[1].strip()
    assert said == "5 of 6 needed reachable"
    assert said in pane.lines()[1]


def test_marking_the_only_error_as_known_does_not_say_that_nothing_was_seen() -> None:
    site = frames_builder.plant()
    site.violations = ()
    site.findings = site.findings[:1]
    site.cameras = tuple(c for c in site.cameras if c.state == "streaming")
    site.endpoints = tuple(e for e in site.endpoints if e.state == "reachable")
    driven = Driven(site).press("6", "m", "1")
    heading = next(line for line in driven.lines() if "WHAT TO DO" in line)
    assert "1 known" in heading
    assert "nothing yet" not in driven.text()


def test_nothing_is_lost_before_us_when_nothing_is_lost(site: Site) -> None:
    """A sender's report and the packets that it counts may pass each other on the way."""
    site.streams = (msgspec.structs.replace(site.streams[0], sr_lost=1, lost=0, lost_unique=0),)
    assert "before us" not in Driven(site, height=60).press("3", "j", "enter").text()
    site.streams = (msgspec.structs.replace(site.streams[0], sr_lost=9, lost=4, lost_unique=4),)
    driven = Driven(site, height=60).press("3", "j", "enter")
    assert any("before us" in line and " 4 by " in line for line in driven.lines())


def test_events_stand_in_the_order_of_their_time(site: Site) -> None:
    late = EventRecord(
        time_ns=site.time_ns - 500 * SECOND, number=10_000, kind="dns", severity="info",
        subject="late", text="was told last and happened first",
    )  # fmt: skip
    site.events = (*site.events, late)
    lines = Driven(site, height=40).press("7").lines()
    times = [line[1:9] for line in lines if line[3:4] == ":"]
    assert times == sorted(times, reverse=True)
    assert len(times) == len(site.events)


class Stalling:
    """A collector that stops answering for a while, and one that has gone."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.stalled = asyncio.Event()
        self.stalled.set()
        self.gone = False
        self.attached = 0

    async def ask(self, request: View | Command) -> Answer:
        if self.gone:
            raise FeedError("collector", "it has ended")
        await self.stalled.wait()
        return self.site.answer(request)

    async def close(self) -> None:
        return None


class Reattaching(Stalling):
    async def reattach(self) -> None:
        self.attached += 1
        if self.gone:
            raise FeedError("x.sock", "its recorder has ended")


def shown(app: Panotui) -> str:
    driven = app.session.picture(10_000.0)
    return "\n".join("".join(t for t, _ in line) for line in (driven.header, *driven.body))


async def _until(condition: object) -> None:
    for _ in range(400):
        if condition():  # type: ignore[operator]
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it did not come to that")


def test_a_collector_that_stalls_is_not_said_to_have_stopped(site: Site) -> None:
    async def run() -> None:
        source = Stalling(site)
        app = Panotui(source, rate_hz=4.0, session=Session())
        async with app.run_test(size=(80, 24)):
            await _until(lambda: app.session.newest is not None)
            source.stalled.clear()
            await _until(lambda: app._asking is not None and not app._asking.done())
            heard = app.session.heard_at
            header = app.session.picture(heard + 7.0).header
            assert "no news for 7 s" in "".join(text for text, _ in header)
            source.stalled.set()
            await _until(lambda: app.session.heard_at > heard)
            assert "stopped" not in shown(app)

    asyncio.run(run())


def test_a_recorder_that_comes_back_is_attached_again_and_by_r_at_once(site: Site) -> None:
    async def run() -> None:
        source = Reattaching(site)
        app = Panotui(source, rate_hz=4.0, session=Session())
        async with app.run_test(size=(100, 24)) as pilot:
            await _until(lambda: app.session.newest is not None)
            source.gone = True
            await _until(lambda: app.session.lost is not None)
            assert "The recorder is gone (its recorder has ended)" in shown(app)
            tries = source.attached
            await pilot.press("r")
            await _until(lambda: source.attached > tries)
            source.gone = False
            await pilot.press("r")
            await _until(lambda: app.session.lost is None)
            heard = app.session.heard_at
            await _until(lambda: app.session.heard_at > heard)
            assert "The recorder is gone" not in shown(app)

    asyncio.run(run())


def test_a_demo_that_begins_again_says_so_and_keeps_what_is_open(site: Site) -> None:
    now = [100.0]
    provider = StateProvider(site, "demo", clock=lambda: now[0])

    class Demo:
        def answer(self, request: View | Command) -> Answer:
            assert isinstance(request, View)
            return provider.frame(request)

    driven = Driven(Demo())  # type: ignore[arg-type]
    driven.press("3", "j", "enter")
    provider.begin_again(Site(time_ns=site.time_ns + 90 * SECOND))
    driven.fetch()
    text = driven.text()
    assert "The demo begins again" in text
    assert "The demo has begun again: this is how it was at" in text
    assert "It is gone" not in text
    for words in ("gate video", "Camera gate contacts", "bit-rate", "peak 1.54 Mb/s"):
        assert words in text
    provider.begin_again(site)
    now[0] += 10
    driven.fetch()
    assert "begun again" not in driven.text()
    assert "begins again" not in driven.text()


def test_a_round_trip_is_never_nothing(site: Site) -> None:
    assert round_trip(0.03) == "<.1"
    assert round_trip(0.0) == "<.1"
    assert round_trip(None) == "-"
    site.endpoints = tuple(msgspec.structs.replace(e, rtt_ms=0.03) for e in site.endpoints)
    rows = [line for line in Driven(site).press("4").lines() if "reachable" in line[:14]]
    assert len(rows) >= 5
    assert all("<.1" in row for row in rows)


@pytest.mark.parametrize("pane", ["1", "4", "5"])
def test_ages_go_on_with_time(site: Site, pane: str) -> None:
    driven = Driven(site).press(pane)
    before = driven.text()
    site.time_ns += 3 * 3600 * SECOND
    driven.fetch()
    ages = [w for w in before.split() if w == "min"]
    assert ages or " s " in before
    hours = Counter(driven.text().split())["h"]
    assert hours >= 1


def test_a_flow_is_named_by_its_addresses(site: Site) -> None:
    for keys in (("3", "j", "enter"), ("5", "enter"), ("6", "enter")):
        driven = Driven(site).press(*keys)
        assert "\n OPEN " in driven.text()
        assert " flow 0-" not in driven.text()


def dns(number: int) -> object:
    return flow(
        500 + number, transport="udp", dst="192.168.5.1", dport=53, app="dns", host=None,
        verdict="infrastructure", packets_out=1, packets_in=1, bytes_out=80, bytes_in=160,
    )  # fmt: skip


def test_dns_questions_and_scans_do_not_fill_the_flows(site: Site) -> None:
    scan = tuple(
        flow(900 + n, src="10.20.0.66", dst=f"10.20.0.{n}", packets_in=0, syn=1, payload_out=0,
             host=None, state="syn-sent", dport=80 + n)
        for n in range(30)
    )  # fmt: skip
    site.flows = (*site.flows[:2], *(dns(n) for n in range(40)), *scan)  # type: ignore[arg-type]
    driven = Driven(site, 120, 40).press("2", "v")
    text = driven.text()
    assert "40 DNS questions" in text
    assert "30 unanswered" in text
    assert "10.20.0.66 >many" in text
    assert "68 folded" in driven.lines()[1]
    assert sum(line.startswith((" ✔", " …")) for line in driven.lines()) <= 4
    row = next(line for line in driven.lines() if "DNS questions" in line)
    assert "9.4K" in row  # 40 x 240 bytes: the numbers are those of all
    driven.press("a")
    assert "DNS questions" not in driven.text()
    assert f"of {len(site.flows)}" in driven.lines()[1]


def test_bad_flows_come_first(site: Site) -> None:
    rows = [line for line in Driven(site).press("2", "v").lines() if line[1:2] in "✖…✔"]
    looks = [row[1] for row in rows]
    assert looks == sorted(looks, key="✖…✔".index)


def test_a_name_is_cut_once_and_wider_where_there_is_room() -> None:
    names = tuple(f"building-{b}-floor-{f}-west-door-{b}" for b in range(9) for f in range(3))
    for cells in (8, 12, 16, 20):
        short = distinct(names, cells)
        assert all(text.count("…") <= 1 for text in short.values())
    assert all("…" not in text for text in distinct(names, 40).values())


def test_trouble_lasts_since_it_began_and_not_since_the_stream_did(site: Site) -> None:
    """A camera that leaks for 12 s has streamed for longer than that."""
    began = site.time_ns - 12 * SECOND
    site.streams = tuple(
        msgspec.structs.replace(
            s,
            trouble="camera-phones-home",
            trouble_text="it contacts the internet",
            trouble_word="leaks",
            trouble_severity="warning",
            trouble_since_ns=began,
        )
        if s.camera == "dock"
        else s
        for s in site.streams
    )
    driven = Driven(site, 200, 60).press("3")
    row = next(line for line in driven.lines() if " leaks " in line)
    assert " 12 s " in row
    driven.press(*["k"] * 9)
    while "dock" not in driven.cursor():
        driven.press("j")
    assert "(12 s)" in driven.press("enter").lines()[1]


@pytest.mark.parametrize(
    "way", [["2"], ["3"], ["4"], ["5"], ["6"], ["7"], ["8"]], ids=lambda way: way[0]
)
def test_a_detail_says_each_sentence_once(site: Site, way: list[str]) -> None:
    driven = Driven(site, 200, 60).press(*way, "g", "enter")
    frame = driven.session.opened[-1].frame
    assert frame is not None
    assert frame.detail is not None
    detail = frame.detail
    said = [e.text for e in detail.explained]
    said += [text for s in detail.sections for _, text in s.lines if text.count(" ") > 3]
    assert len(said) == len(set(said))


def test_no_finding_is_not_called_well_while_a_camera_is_dead(site: Site) -> None:
    site.findings = ()
    assert any(camera.state != "streaming" for camera in site.cameras)
    driven = Driven(site).press("6")
    assert "well" not in driven.text()
    assert "✔ none open" not in driven.text()
    site.all_well_since_ns = site.time_ns
    driven.fetch()
    assert "all that was seen is well" in driven.text()


def test_all_is_not_called_well_beside_a_stream_in_trouble(site: Site) -> None:
    site.findings = site.violations = ()
    site.cameras = tuple(c for c in site.cameras if c.name == "gate")
    site.endpoints = ()
    site.all_well_since_ns = site.time_ns
    text = Driven(site).text()
    assert "all is well" not in text
    assert "no cause known yet: the stream of gate is losing" in text


def test_all_is_not_called_well_while_something_starts_or_was_not_seen(site: Site) -> None:
    site.findings = site.violations = ()
    site.cameras = tuple(c for c in site.cameras if c.name == "dock")
    site.streams = tuple(s for s in site.streams if s.camera == "dock")
    site.endpoints = tuple(e for e in site.endpoints if e.state == "reachable")
    site.all_well_since_ns = site.time_ns
    assert "nothing: all is well since" in Driven(site).text()
    idle = msgspec.structs.replace(site.endpoints[0], state="unseen", label="Logs", needed=True)
    site.endpoints = (*site.endpoints[1:], idle)
    assert "nothing: all that was seen is well since" in Driven(site).text()
    site.cameras = tuple(msgspec.structs.replace(c, state="connecting") for c in site.cameras)
    assert "nothing yet: dock is connecting" in Driven(site).text()


def test_a_notice_is_never_cut_before_what_to_do(site: Site) -> None:
    driven = Driven(site, 62, 20)
    driven.session.lost = CLOSED
    text = " ".join(line.strip() for line in driven.lines()[1:4])
    assert "closed to this user): quit and attach again" in text
    assert "retrying" not in text  # which could not help
    assert len(driven.lines()) == 20
    driven.session.lost = "its recorder has ended"
    assert "retrying, r: now" in " ".join(line.strip() for line in driven.lines()[1:4])
    driven.now += 12.0
    header = driven.lines()[0]
    assert "no news 12 s  ●REC  lost 0  14:02:31" in header  # shorter, and none cut
    driven.session.resize(120, 20)
    assert "no news for 12 s  ●REC 00:12:44  lost 0  14:02:31 CET" in driven.lines()[0]


def test_a_page_that_has_not_come_says_so(site: Site) -> None:
    """Its recorder may be gone; blank, it would be read as nothing to see."""
    driven = Driven(site, 120, 40)
    driven.session.press("6", "6", driven.now)
    assert "waiting for the collector" in driven.text()
    driven = Driven(site, 80, 24)
    driven.session.resize(200, 60)  # the newest events were not asked for
    assert "NEWEST" in driven.text()
    assert "nothing has happened yet" not in driven.text()
    driven.fetch()
    assert "waiting for the collector" not in driven.text()


def test_a_count_is_that_of_the_filter_beside_it(site: Site) -> None:
    driven = Driven(site).press("2").type("/port:443")
    assert "valid  4 of 6" in driven.text() or "of 6" in driven.lines()[-3]
    driven.session.press("backspace", None, driven.now)
    assert "valid  - of 6" in driven.text()  # the answer is on its way


def test_the_one_black_camera_of_a_hundred_is_seen_and_none_goes_uncounted() -> None:
    """An overview carries the worst 60 cameras."""
    site = frames_builder.large()
    names = [f"hall-{n:03}" for n in range(100)]
    site.cameras = tuple(frames_builder.camera(n, name) for n, name in enumerate(names, 1))
    site.streams = tuple(frames_builder.stream(n, name) for n, name in enumerate(names, 1))
    black = msgspec.structs.replace(
        site.cameras[97], state="silent", state_text="no packets", streams=()
    )
    site.streams = tuple(
        msgspec.structs.replace(s, state="losing", loss_now=0.05) if s.camera == "hall-090" else s
        for s in site.streams
        if s.camera != "hall-097"
    )
    site.cameras = (*site.cameras[:97], black, *site.cameras[98:])
    site.findings = site.violations = ()
    lines = Driven(site).lines()
    at = next(n for n, line in enumerate(lines) if line.startswith(" CAMERAS  "))
    assert "✖ hall-097 silent" in lines[at + 1]
    assert "hall-090 losing" in lines[at + 2]
    below = next(n for n, line in enumerate(lines) if line.startswith(" CLOUD  "))
    shown = sum(" hall-0" in line for line in lines[at:below])
    assert lines[at].rstrip().endswith(f"+{100 - shown} ok")
