"""EVE lines of real captures, validated against Suricata's closed schema of what they use."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import jsonschema
import pytest

from panotui import sources
from panotui.commands.input import analysed
from panotui.site.file import parse_site
from panotui.telemetry.eve import eve_lines
from tests.captures import capture

SCHEMA = json.loads(Path(__file__).with_name("eve.schema.json").read_text("utf-8"))
DEMO = Path(sources.__file__).parent / "demo"


@pytest.mark.parametrize(
    "name",
    [
        "demo",
        "lab/dhcp.pcap",
        "lab/gst-udp-digest.pcap",
        "open/zeek__icmp_nd_dnssl.pcap",
        "open/zeek__igmp_igmp.pcap",
        "open/zeek__tls_tls13-ech.pcap",
        "open/zeek__mqtt.pcap",
        "crafted/home.pcapng",
    ],
)
def test_every_line_fits_the_closed_schema(name: str) -> None:
    path = DEMO / "site.pcapng.zst" if name == "demo" else capture(name)
    site = parse_site((DEMO / "site.toml").read_text("utf-8") if name == "demo" else "")
    engine = analysed([str(path)], site)
    snapshot = engine.snapshot()
    kinds: Counter[str] = Counter()
    validator = jsonschema.Draft202012Validator(SCHEMA)
    for line in eve_lines(snapshot, engine.flow_records()):
        event = json.loads(line)
        validator.validate(event)
        kinds[event["event_type"]] += 1
        if event["event_type"] == "alert":
            assert event["alert"]["action"] == "allowed"  # seen, never blocked
    assert kinds["flow"] == len(list(engine.flow_records()))
    assert kinds["alert"] == len(snapshot.violations)
    assert kinds["stats"] == 1
    if name == "demo":
        assert kinds["tls"] > 10
