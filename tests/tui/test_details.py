"""Every detail begins with its answer and ends in its action."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import msgspec
import pytest
from msgspec.structs import replace

from panotui.model import SECOND, FindingRecord
from panotui.state.standing import but_said
from panotui.tui.effects import Copy, Send
from panotui.views.frames import Done
from tests.tui import frames_builder
from tests.tui.frames_builder import NOW, camera, stream
from tests.tui.screens import Driven

# the keys from a plant's overview to a detail of each kind, and words that must stand there
WAYS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "camera": (("3", "enter"), ("refused", "since 13:59:31 (3 min)", "Correct the password")),
    "stream": (("3", "j", "enter"), ("losing", "since 13:49:51 (13 min)", "Block 10.20.0.12")),
    "endpoint": (("4", "enter"), ("blocked", "since 13:50:51", "Allow outbound TCP 443 to logs")),
    "flow": (("2", "enter"), ("violation", "since 14:02:")),
    "violation": (("5", "enter"), ("open", "since 13:55:51 (7 min)", "Block 10.20.0.12")),
    "finding": (("6", "enter"), ("certain", "since 13:58:12 (4 min)", "Allow outbound TCP 443")),
    "event": (("7", "enter"), ("error", "since 14:01:58 (33 s)", "Block 10.20.0.12")),
}  # fmt: skip


@pytest.fixture
def plant() -> Driven:
    return Driven(frames_builder.plant())


@pytest.mark.parametrize("kind", WAYS)
def test_a_detail_begins_with_state_since_cause_and_action(plant: Driven, kind: str) -> None:
    keys, words = WAYS[kind]
    lines = plant.press(*keys).lines()
    assert plant.session.opened[-1].key.startswith(f"{kind}:")
    head = "\n".join(lines[1:12])
    title = " ".join(lines[1:3])  # a long title has its state below it
    assert words[0] in title
    assert words[1] in title
    for word in words[2:]:
        assert word in head
    places = [n for n, line in enumerate(lines) for t in ("BECAUSE", "WHAT TO DO", "EVIDENCE")
              if line.startswith(f" {t}")]  # fmt: skip
    assert places == sorted(places)
    assert places
    assert places[0] <= 4


@pytest.mark.parametrize("kind", WAYS)
def test_evidence_stands_before_numbers_newest_first_with_its_age(plant: Driven, kind: str) -> None:
    keys, _ = WAYS[kind]
    plant.session.resize(100, 40)
    lines = plant.press(*keys).lines()
    start = next(n for n, line in enumerate(lines) if line.startswith(" EVIDENCE"))
    proofs = []
    for line in lines[start:]:
        if found := re.match(
            r" (?:EVIDENCE| {8})\s+(\d\d:\d\d:\d\d\.\d{3})\s+(\d+ \w+)  (\S.*)", line
        ):
            proofs.append(found.groups())
        elif not line.startswith("     ") and proofs:
            break
    assert proofs
    times = [time for time, _, _ in proofs]
    assert times == sorted(times, reverse=True)


def test_a_finding_that_is_hidden_is_told_by_its_cause(plant: Driven) -> None:
    causes = plant.site.findings
    hidden = frames_builder.msgspec.structs.replace(
        causes[1], key="hidden", id="hidden", hidden_by=causes[0].key, text="only a consequence"
    )
    plant.site.findings = (causes[0], hidden)
    plant.press("3", "enter")
    assert causes[0].text[:30] in plant.text()
    assert "only a consequence" not in plant.text()


def test_a_dead_thing_without_a_finding_says_so(plant: Driven) -> None:
    plant.site.findings = ()
    assert "No finding explains it yet" in plant.press("3", "enter").text()
    plant.press("escape", "down", "down", "enter")  # dock is well
    assert "No finding" not in plant.text()


def test_w_saves_the_packets_and_y_then_copies_the_tshark_command(plant: Driven) -> None:
    plant.press("6", "enter", "w")
    sent = plant.effects[-1]
    assert isinstance(sent, Send)
    assert (sent.command.name, sent.command.key) == (
        "evidence", "finding:endpoint-blocked/logs.us-east-1.amazonaws.com",
    )  # fmt: skip
    path = "/home/tech/a b/panotui-evidence.pcapng"
    done = Done(ok=True, text=f"12 packets (frame 3 shows it) written to {path}", path=path)
    plant.session.told(done, plant.now)
    assert "12 packets (frame 3 shows it) written to" in plant.text()
    plant.press("y")
    copied = plant.effects[-1]
    assert copied == Copy(f"tshark -r '{path}' -Y 'ip.addr == 203.0.113.90 and tcp.port == 443'")
    plant.press("escape", "down", "y")
    assert "tshark" not in plant.effects[-1].text  # type: ignore[union-attr]


@pytest.mark.parametrize("kind", ["camera", "stream", "endpoint", "violation", "event"])
def test_packets_of_anything_are_those_of_what_explains_it(plant: Driven, kind: str) -> None:
    plant.press(*WAYS[kind][0], "w")
    sent = plant.effects[-1]
    assert isinstance(sent, Send)
    assert sent.command.key.startswith(("finding:", "violation:"))


def test_w_is_offered_only_where_there_is_something_to_save(plant: Driven) -> None:
    plant.press("3", "G", "enter")
    plant.site.findings = ()
    plant.fetch()
    before = len(plant.effects)
    plant.press("w")
    assert len(plant.effects) == before


def test_an_action_is_never_cut_before_its_host_name() -> None:
    site = frames_builder.plant()
    host = "panorama-artifacts-0123456789.s3.us-east-1.amazonaws.com"
    action = (
        "Ask the owner of the firewall to allow outbound TCP 443 from 192.168.5.5 to the two hosts"
        f" {host} and monitoring.us-east-1.amazonaws.com"
    )
    site.findings = (frames_builder.msgspec.structs.replace(site.findings[0], action=action),)
    for size in ((80, 24), (120, 40), (200, 60)):
        driven = Driven(site, *size)
        assert host in driven.text()
        assert "monitoring.us-east-1.amazonaws.com" in driven.text()
        driven.press("6", "enter")
        assert host in driven.text()


def test_bad_rows_come_first_in_every_pane(plant: Driven) -> None:
    order = "✖!…✔i-"
    for pane in "2346":
        lines = plant.press(pane).lines()[3:-1]
        lines = lines[: next(n for n, line in enumerate(lines) if not line.strip())]
        rows = [line[1] for line in lines if line[1:2] in set("✖!…✔")]
        assert rows == sorted(rows, key=order.index), (pane, plant.text())
        assert rows[0] == "✖"


def test_a_black_camera_heads_the_streams(plant: Driven) -> None:
    assert "yard" in plant.press("3").lines()[3]


def test_what_nobody_has_asked_for_stands_below_what_is_in_trouble(plant: Driven) -> None:
    plant.site.cameras = tuple(
        frames_builder.msgspec.structs.replace(c, state="unseen") if not c.streams else c
        for c in plant.site.cameras
    )
    rows = plant.press("3").lines()
    assert "gate" in rows[3]
    assert "1 camera not seen" in rows[1]
    plant.site.streams = tuple(
        frames_builder.msgspec.structs.replace(s, state="streaming", loss_now=0.0)
        for s in plant.site.streams
    )
    plant.fetch()
    assert any("yard" in line for line in plant.lines())


def test_since_is_of_the_state_and_goes_on(plant: Driven) -> None:
    plant.press("3", "enter")
    assert "(3 min)" in plant.lines()[1]
    plant.site.time_ns = NOW + 600 * SECOND
    plant.fetch()
    assert "(13 min)" in plant.lines()[1]


def test_a_short_list_shows_what_is_selected_below_it(plant: Driven) -> None:
    lines = plant.press("6").lines()
    rows = [n for n, line in enumerate(lines) if " certain " in line and "Camera yard" in line]
    below = next(n for n, line in enumerate(lines) if "WHAT TO DO" in line)
    assert rows
    assert rows[0] < below
    assert "Allow outbound TCP 443" in lines[below]
    plant.press("j")
    assert "Correct the password" in plant.text()
    plant.press("v")  # the list alone
    assert "WHAT TO DO" not in plant.text()


def test_a_list_that_fills_the_screen_stands_alone() -> None:
    assert "WHAT TO DO" not in Driven(frames_builder.large()).press("2").text()


def told_of_a_port(finding: FindingRecord) -> Driven:
    """A plant that is well but for what is told of its second port."""
    site = frames_builder.well()
    site.findings = (finding,)
    if finding.severity != "info":
        first, second = site.ports
        told = {
            "trouble": finding.id, "trouble_severity": finding.severity,
            "trouble_text": "its gateway is wrong", "trouble_word": "gateway",
        }  # fmt: skip
        site.ports = (first, replace(second, state="up", **told))
    return Driven(site)


def test_a_port_that_is_up_and_in_trouble_says_with_what() -> None:
    driven = told_of_a_port(
        FindingRecord(
            id="wrong-gateway", key="wrong-gateway/eth1", severity="error", confidence="certain",
            subject="eth1", text="Port eth1 sends to a gateway that nobody answers for",
            action="Correct the gateway of eth1", first_time_ns=NOW - 60 * SECOND, last_time_ns=NOW,
        )
    )  # fmt: skip
    assert "eth1 gateway" in driven.lines()[1]
    tile = next(line for line in driven.lines() if line.startswith(" ✖ eth1"))
    assert "gateway" in tile
    lines = driven.press("j", "enter").lines()
    assert lines[1].startswith(" ✖ port eth1")
    assert "gateway  since " in lines[1]
    assert lines[2].startswith(" BECAUSE     Port eth1 sends to a gateway")
    assert lines[3].startswith(" WHAT TO DO  Correct the gateway of eth1")


def test_trouble_of_a_recording_without_words_for_it_is_shown_as_trouble() -> None:
    site = frames_builder.well()
    first, second = site.ports
    site.ports = (first, replace(second, state="up", trouble="x", trouble_severity="error"))
    assert "eth1 trouble" in Driven(site).lines()[1]
    assert but_said(site.ports[1]) == ", but something is wrong"
    assert but_said(first) == ""


def test_information_about_a_port_that_is_well_is_a_note_and_no_cause() -> None:
    driven = told_of_a_port(
        FindingRecord(
            id="lldp-info", key="lldp-info/eth1", severity="info", confidence="certain",
            subject="eth1", text="Port eth1 is connected to switch7",
            action="For information", first_time_ns=NOW - 60 * SECOND, last_time_ns=NOW,
        )
    )  # fmt: skip
    text = driven.press("j", "enter").text()
    assert "BECAUSE" not in text
    assert "WHAT TO DO" not in text
    assert " NOTE        Port eth1 is connected to switch7" in text


@pytest.mark.parametrize("dead", [2, 3])
def test_no_dead_camera_is_missing_where_a_detail_stands_below_the_list(dead: int) -> None:
    site = frames_builder.well()
    names = ("yard", "ramp", "gate")[:dead]
    site.cameras = (
        camera(1, "dock"),
        *(camera(2 + n, name, state="refused", streams=()) for n, name in enumerate(names)),
    )
    site.streams = (stream(1, "dock"),)
    driven = Driven(site).press("3")
    head = driven.text().partition("dock")[0]
    for name in names:
        assert f" {name} " in head, driven.text()


def test_a_ping_has_a_type_and_a_code_and_no_ports() -> None:
    site = frames_builder.plant()
    site.flows = (
        msgspec.structs.replace(
            site.flows[0], transport="icmp", src="10.20.0.1", sport=3, dst="10.20.0.5", dport=13
        ),
    )
    assert "icmp 10.20.0.1 > 10.20.0.5  type 3 code 13" in Driven(site).press("2", "enter").text()


def test_a_time_in_a_sentence_is_that_of_the_screens_clock() -> None:
    """Beside local times, one in UTC would be read as another moment; `T` shows UTC for all."""
    site = frames_builder.plant()
    finding = msgspec.structs.replace(
        site.findings[0],
        text="Logs is blocked since 12:58:12 UTC",
        action="Compare with the firewall's log of 12:58:12 UTC",
    )
    site.findings = (finding,)
    event = msgspec.structs.replace(site.events[-1], text="Logs was open at 12:58:12Z")
    site.events = (event,)
    driven = Driven(site, 120, 40)
    for keys in ((), ("6",), ("enter",), ("escape", "7")):
        text = driven.press(*keys).text()
        assert "13:58:12" in text, keys
        assert not re.search(r"(?<!T)12:58:12", text), keys  # whole stamps stay UTC
    text = driven.press("6", "T", "T").text()
    assert "since 12:58:12 UTC" in text
    stamp = site.findings[0].first_time_ns // SECOND
    driven.press("T", "enter")
    assert datetime.fromtimestamp(stamp, UTC).isoformat()[:19] in driven.text()  # whole stamps


def test_what_was_also_seen_comes_newest_first() -> None:
    site = frames_builder.plant()
    finding = msgspec.structs.replace(
        site.findings[0], detail=("2 attempts", "13:58:12 UTC 4 SYNs", "13:59:20 UTC 4 SYNs")
    )
    site.findings = (finding, *site.findings[1:])
    text = Driven(site, 80, 60).press("6", "g", "enter").text()
    # local times, as everywhere on the screen
    assert text.index("2 attempts") < text.index("14:59:20 4 SYNs") < text.index("14:58:12 4 SYNs")
