"""The policy in the forms that others read: MUD, CSV, text for the firewall's owner, nftables."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import jsonschema
import pytest

from panotui.policy.queries.export_csv import export_csv
from panotui.policy.queries.export_mud import export_mud, mud_document
from panotui.policy.queries.export_nftables import export_nftables
from panotui.policy.queries.firewall_text import firewall_text
from tests.policy.made_flows import START_NS
from tests.policy.sites import PLANT, view_of

SCHEMA = json.loads(Path(__file__).with_name("mud.schema.json").read_text("utf-8"))
IOT = "a1b2-ats.iot.us-east-1.amazonaws.com"
HOSTILE = PLANT.replace('"plant-7"', '"=cmd | `x`"') + (
    '[[service]]\nname = "=1+1"\nhost = "*.app.example"\n'
    '[[service]]\nname = "tcp broker"\nhost = "192.168.5.60"\nport = 1883\n'
    '[[service]]\nname = "udp in"\nhost = "192.168.5.61"\nport = 9100\n'
    'direction = "in"\ntransport = "udp"\n'
)


@pytest.mark.parametrize("site", [PLANT, "", HOSTILE], ids=["plant", "empty", "hostile"])
def test_a_mud_file_fits_the_model_of_the_rfc(site: str) -> None:
    document = json.loads(export_mud(view_of(site), [IOT], time_ns=START_NS))
    jsonschema.validate(document, SCHEMA)
    lists = document["ietf-access-control-list:acls"]["acl"]
    named = {
        entry["name"]
        for side in ("from-device-policy", "to-device-policy")
        for entry in document["ietf-mud:mud"][side]["access-lists"]["access-list"]
    }
    assert {acl["name"] for acl in lists} == named
    for acl in lists:
        names = [ace["name"] for ace in acl["aces"]["ace"]]
        assert len(names) == len(set(names))


def test_mud_says_what_it_cannot_express_and_uses_observed_names_instead() -> None:
    document = mud_document(view_of(), [IOT, "evil.example"], time_ns=START_NS)
    lost = document["ietf-mud:mud"]["panotui:panotui"]["not-expressed"]
    assert "iot: wildcard *.iot.us-east-1.amazonaws.com" in lost
    text = json.dumps(document["ietf-access-control-list:acls"])
    assert IOT in text
    assert "evil.example" not in text
    assert "*" not in text


def test_mud_keeps_the_direction_of_each_connection() -> None:
    aces = {
        ace["name"]: ace["matches"]
        for acl in mud_document(view_of())["ietf-access-control-list:acls"]["acl"]
        for ace in acl["aces"]["ace"]
    }
    logs = aces["logs-logs.us-east-1.amazonaws.com-443-in"]
    assert logs["tcp"]["ietf-mud:direction-initiated"] == "from-device"
    assert logs["tcp"]["source-port"] == {"operator": "eq", "port": 443}
    listen = next(m for n, m in aces.items() if n.startswith("listen-8080") and n.endswith("-in"))
    assert listen["tcp"]["ietf-mud:direction-initiated"] == "to-device"


def test_the_ticket_has_a_line_for_each_opening() -> None:
    rows = list(csv.DictReader(io.StringIO(export_csv(view_of()))))
    assert [int(r["number"]) for r in rows] == list(range(1, len(rows) + 1))
    logs = next(r for r in rows if r["destination"] == "logs.us-east-1.amazonaws.com")
    assert (logs["source"], logs["port"], logs["transport"]) == ("192.168.5.5", "443", "tcp")
    rtsp = next(r for r in rows if r["rule"] == "rtsp")
    assert (rtsp["source"], rtsp["destination"]) == ("10.20.0.5", "10.20.0.11 (dock)")
    listen = next(r for r in rows if r["rule"] == "listen:8080/tcp")
    assert (listen["direction"], listen["source"]) == ("in", "192.168.5.0/24")
    assert all(r["basis"] for r in rows)


def test_no_cell_of_the_ticket_is_a_formula() -> None:
    cells = [c for row in csv.reader(io.StringIO(export_csv(view_of(HOSTILE)))) for c in row]
    assert not any(c[:1] in ("=", "+", "-", "@") for c in cells)


def test_the_request_names_what_is_needed_and_the_traps() -> None:
    text = firewall_text(view_of())
    assert "logs.us-east-1.amazonaws.com" in text
    assert "TLS inspection" in text
    assert "aws.amazon.com" in text
    assert text.index("Needed:") < text.index("Also used:")


def test_answers_fill_the_sets_of_their_services() -> None:
    answers = [
        (IOT, "203.0.113.10"),
        ("logs.us-east-1.amazonaws.com", "203.0.113.14"),
        ("evil.example", "203.0.113.99"),
        ("s3.us-east-1.amazonaws.com", "0.0.0.0"),
        ("s3.us-east-1.amazonaws.com", "10.1.1.1"),
        ("s3.us-east-1.amazonaws.com", "2001:db8::1"),
    ]
    text = export_nftables(view_of(), answers)
    sets = {
        block.split(" ")[0]: block for block in text.split("    set ")[1:] if "elements" in block
    }
    assert "203.0.113.10" in sets["to_iot"]
    assert "203.0.113.14" in sets["to_logs"]
    assert "203.0.113.99" not in text
    assert "10.1.1.1" not in text
    assert "to_s3" not in sets


def test_the_table_says_what_is_still_empty_and_how_to_fill_it() -> None:
    text = export_nftables(view_of())
    assert "blocked until filled: to_iot" in text
    assert "nftset=/logs.us-east-1.amazonaws.com/4#inet#panotui#to_logs" in text


def test_no_name_breaks_out_of_a_comment_of_the_table() -> None:
    text = export_nftables(view_of(HOSTILE))
    line = next(x for x in text.splitlines() if "cmd" in x)
    assert line.startswith("#")


def test_an_unknown_family_is_refused() -> None:
    with pytest.raises(ValueError, match="family"):
        export_nftables(view_of(), family="arp; flush ruleset")
