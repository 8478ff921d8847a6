"""Drafting a site file, accepting violations into it, and comparing policies."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from panotui.errors import UsageError
from panotui.model import SECOND, DnsAnswer, Rows, ViolationRecord
from panotui.model.flow_rows import FlowRows
from panotui.policy.judging.rows import RowJudge
from panotui.policy.judging.violations import ViolationBook
from panotui.policy.queries.accept import accept, undo
from panotui.policy.queries.diff import diff_observed, diff_policies
from panotui.policy.queries.draft import draft_site, seen_listens, seen_services
from panotui.site.file import check_site, load_site, parse_site
from panotui.site.view import SiteView
from tests.policy.made_flows import START_NS, flow_row, many
from tests.policy.sites import PLANT, answer, hello, judge_of

NOW = START_NS + 90 * SECOND


def violation(rows: Rows, judge: RowJudge | None = None) -> ViolationRecord:
    judge = judge or judge_of()
    book = ViolationBook(judge)
    book.observe(FlowRows.of(rows), judge.judge_rows(FlowRows.of(rows), NOW), NOW)
    return book.records()[0]


def named(name: str, port: int = 443) -> tuple[RowJudge, Rows]:
    judge = judge_of()
    judge.names.observe(hello(name))
    return judge, flow_row("192.168.5.5", 50000, "203.0.113.9", port, app="tls")


@pytest.fixture
def site_file(tmp_path: Path) -> Path:
    path = tmp_path / "site.toml"
    path.write_text(PLANT)
    path.chmod(0o640)
    return path


def accepted_reasons() -> list[tuple[str, Rows, RowJudge]]:
    judge, unlisted = named("app.example")
    other, port = named("logs.us-east-1.amazonaws.com", 8444)
    bad, mismatch = judge_of(), flow_row("192.168.5.5", 50000, "10.9.9.9", 443, app="tls")
    bad.names.observe(hello("logs.us-east-1.amazonaws.com"))
    plain = judge_of()
    mac = "02:00:00:00:00:11"
    moved = flow_row("192.168.5.6", 50000, "192.168.5.1", 53, "udp", app="dns", client_mac=mac)
    return [
        ("unlisted-endpoint", unlisted, judge),
        ("unlisted-port", port, other),
        ("name-mismatch", mismatch, bad),
        ("lateral", flow_row("192.168.5.5", 50000, "192.168.5.60", 1883), plain),
        ("camera", flow_row("10.20.0.5", 50000, "10.20.0.12", 554, app="rtsp"), plain),
        ("resolver", flow_row("192.168.5.5", 50000, "8.8.8.8", 53, "udp", app="dns"), plain),
        ("time", flow_row("192.168.5.5", 123, "192.168.5.7", 123, "udp", app="ntp"), plain),
        ("inbound", flow_row("192.168.6.7", 50000, "192.168.5.5", 8090), plain),
        ("declared", flow_row("192.168.6.7", 50000, "192.168.5.5", 8080), plain),
        ("address-changed", moved, plain),
    ]


@pytest.mark.parametrize("number", range(10), ids=[r for r, _, _ in accepted_reasons()])
def test_what_was_accepted_is_allowed_from_then_on(site_file: Path, number: int) -> None:
    _, row, judge = accepted_reasons()[number]
    record = violation(row, judge)
    done = accept(site_file, record)
    assert done.what
    again = RowJudge(SiteView(load_site(site_file)), judge.names)
    again.start_ns = START_NS
    assert again.judgement(FlowRows.of(row)[0], NOW).verdict in ("allowed", "infrastructure")


def test_accepting_keeps_comments_order_and_mode(site_file: Path) -> None:
    judge, row = named("app.example")
    accept(site_file, violation(row, judge))
    text = site_file.read_text()
    assert text.startswith(PLANT.rstrip("\n"))
    assert "# provisioned here" in text
    assert site_file.stat().st_mode & 0o777 == 0o640
    assert os.listdir(site_file.parent) == ["site.toml"]


def test_accepting_can_be_undone(site_file: Path) -> None:
    judge, row = named("app.example")
    done = accept(site_file, violation(row, judge))
    assert site_file.read_text() != PLANT
    undo(done)
    assert site_file.read_text() == PLANT


def test_an_undo_never_loses_what_someone_wrote_since(site_file: Path) -> None:
    judge, row = named("app.example")
    done = accept(site_file, violation(row, judge))
    site_file.write_text(done.after + "# mine\n")
    with pytest.raises(UsageError, match="changed since"):
        undo(done)
    assert site_file.read_text().endswith("# mine\n")


def test_a_first_acceptance_makes_the_file_and_its_undo_removes_it(tmp_path: Path) -> None:
    judge, row = named("app.example")
    path = tmp_path / "site.toml"
    done = accept(path, violation(row, judge))
    assert load_site(path).service[0].host == "app.example"
    undo(done)
    assert not path.exists()


REFUSED = [
    ("stream-leak", flow_row("10.20.0.11", 50000, "203.0.113.9", 443)),
    ("wrong-port", flow_row("192.168.5.5", 50000, "10.20.0.11", 554, app="rtsp")),
    ("inbound on 22", flow_row("192.168.5.77", 50000, "192.168.5.5", 22)),
]


@pytest.mark.parametrize("row", [r for _, r in REFUSED], ids=[n for n, _ in REFUSED])
def test_what_can_never_be_right_is_refused(site_file: Path, row: Rows) -> None:
    with pytest.raises(UsageError, match="accept"):
        accept(site_file, violation(row))
    assert site_file.read_text() == PLANT


def test_a_scan_is_refused(site_file: Path) -> None:
    rows = np.repeat(flow_row("192.168.6.77", 40000, "192.168.5.5", 1), 100)
    rows["id"] = np.arange(100)
    rows["dport"] = np.arange(8000, 8100)
    with pytest.raises(UsageError, match="scan"):
        accept(site_file, violation(rows))


def test_a_wrong_site_file_is_left_alone(site_file: Path) -> None:
    site_file.write_text("[site]\nnam = 1\n")
    judge, row = named("app.example")
    with pytest.raises(UsageError, match=r"site\.toml:2"):
        accept(site_file, violation(row, judge))
    assert site_file.read_text() == "[site]\nnam = 1\n"


# ------------------------------------------------------------------ drafting


def drafted() -> tuple[str, SiteView]:
    judge = judge_of("")
    view = judge.view
    iot = "a1-ats.iot.us-east-1.amazonaws.com"
    view.observe_all([answer(iot, DnsAnswer(iot, "A", 60, "203.0.113.9"))])
    rows = many(
        [
            flow_row("10.20.0.5", 50000, "10.20.0.11", 554, app="rtsp", flow=1),
            flow_row("192.168.5.5", 50001, "203.0.113.8", 443, app="tls", flow=2),
            flow_row("192.168.5.9", 50001, "192.168.5.5", 8080, app="http", flow=3),
        ]
    )
    judge.names.observe(hello("app.example", flow=2))
    view.observe_flows(FlowRows.of(rows))
    judged = judge.judge_rows(FlowRows.of(rows), NOW)
    listens, services = (
        seen_listens(FlowRows.of(rows), judged),
        seen_services(FlowRows.of(rows), judged),
    )
    return draft_site(view, listens, services, interfaces={"eth0": "enp3s0"}), view


def test_a_draft_is_a_valid_site_file_with_what_was_seen() -> None:
    text, _ = drafted()
    site = parse_site(text)
    assert not [p for p in check_site(text)[1] if p.error]
    assert site.site.region == "us-east-1"
    assert site.site.topology == "dual"
    assert site.ports["eth0"].role == "camera"
    assert site.ports["eth0"].interface == "enp3s0"
    assert site.ports["eth1"].address == "192.168.5.5/24"
    assert [c.address for c in site.camera] == ["10.20.0.11"]
    assert site.network.dns == ("192.168.5.1",)
    assert site.listen[0].port == 8080
    assert site.listen[0].from_ == ("192.168.5.9/32",)


def test_each_line_of_a_draft_says_what_was_seen() -> None:
    text, _ = drafted()
    for line in text.splitlines():
        if "=" in line and not line.startswith("#"):
            assert " # " in line, line


def test_what_would_open_the_policy_is_only_suggested() -> None:
    text, _ = drafted()
    assert '# host = "app.example"' in text
    assert parse_site(text).service == ()


def test_a_draft_of_nothing_is_valid() -> None:
    assert parse_site(draft_site(SiteView(parse_site("")))).ports == {}


def test_a_hostile_name_stays_inside_its_comment() -> None:
    judge = judge_of("")
    judge.names.observe(hello('x"\n[[listen]]\nport = 8000\n', flow=1))
    rows = flow_row("192.168.5.5", 50001, "203.0.113.8", 443, app="tls")
    judged = judge.judge_rows(FlowRows.of(rows), NOW)
    text = draft_site(judge.view, (), seen_services(FlowRows.of(rows), judged))
    assert parse_site(text).listen == ()


# ------------------------------------------------------------------ comparing


def test_a_new_site_file_is_compared_with_the_old() -> None:
    new = PLANT.replace("us-east-1", "eu-west-1").replace("port = 8080", "port = 8090")
    lines = [c.line() for c in diff_policies(parse_site(PLANT), parse_site(new))]
    assert "~ region: us-east-1 -> eu-west-1" in lines
    assert any(line.startswith("- listen:8080/tcp") for line in lines)
    assert any(line.startswith("+ listen:8090/tcp") for line in lines)
    assert any(line.startswith("~ logs: ") and "eu-west-1" in line for line in lines)


def test_equal_policies_do_not_differ() -> None:
    assert diff_policies(parse_site(PLANT), parse_site(PLANT)) == ()


def test_traffic_is_compared_with_the_policy() -> None:
    judge, row = named("app.example")
    rows = many([row, flow_row("10.20.0.5", 50000, "10.20.0.11", 554, app="rtsp", flow=2)])
    found = diff_observed(judge.view, FlowRows.of(rows), judge.judge_rows(FlowRows.of(rows), NOW))
    assert found.lines()[0] == "+ app.example tcp/443: unlisted-endpoint, 1 flow"
    assert "logs (tcp 443)" in found.unused
    assert not any("camera" in text for text in found.unused)
