"""conn.log as Zeek's own tools read it."""

from __future__ import annotations

import json

import pytest

from panotui.model import FlowRecord
from panotui.telemetry.zeek import FIELDS, conn_json, conn_log, connection_uid


def flow(**changes: object) -> FlowRecord:
    given: dict[str, object] = {
        "id": "0-7",
        "community_id": "1:abc=",
        "port": "eth1",
        "transport": "tcp",
        "src": "192.168.5.5",
        "sport": 40000,
        "dst": "203.0.113.10",
        "dport": 443,
        "first_time_ns": 1_700_000_000_123_456_789,
        "last_time_ns": 1_700_000_001_623_456_789,
        "packets_out": 4,
        "packets_in": 3,
        "payload_out": 517,
        "payload_in": 3000,
        "app": "tls",
        "conn_state": "SF",
        "history": "ShADadFf",
        "end": "closed",
    }
    return FlowRecord(**(given | changes))  # type: ignore[arg-type]


def test_header_names_the_fields_and_types_of_zeek() -> None:
    lines = list(conn_log([]))
    assert lines[0] == "#separator \\x09"
    assert lines[5] == "#open\t1970-01-01-00-00-00"
    assert lines[6].split("\t")[1:] == [name for name, _ in FIELDS]
    assert lines[7].split("\t")[1:5] == ["time", "string", "addr", "port"]
    whole = list(conn_log([flow()], (), (1_700_000_000_123_456_789, 1_700_000_001_623_456_789)))
    assert whole[5] == "#open\t2023-11-14-22-13-20"
    assert whole[-1] == "#close\t2023-11-14-22-13-21"
    assert len(whole) == 10


def test_row_has_the_values_of_the_flow_in_zeeks_units() -> None:
    row = dict(zip([n for n, _ in FIELDS], list(conn_log([flow()]))[-2].split("\t"), strict=True))
    assert row["ts"] == "1700000000.123457"
    assert row["duration"] == "1.500000"
    assert (row["service"], row["proto"], row["ip_proto"]) == ("ssl", "tcp", "6")
    assert (row["orig_bytes"], row["resp_bytes"], row["missed_bytes"]) == ("517", "3000", "0")
    assert (row["conn_state"], row["history"]) == ("SF", "ShADadFf")
    assert (row["local_orig"], row["orig_ip_bytes"]) == ("T", "-")


@pytest.mark.parametrize(("networks", "said"), [((), "F"), (("203.0.113.0/24",), "T")])
def test_private_and_the_sites_networks_are_local(networks: tuple[str, ...], said: str) -> None:
    names = [n for n, _ in FIELDS]
    line = list(conn_log([flow()], networks))[-2].split("\t")
    assert (line[names.index("local_orig")], line[names.index("local_resp")]) == ("T", said)


def test_icmp_pairs_have_the_answering_type_as_port() -> None:
    echo = flow(transport="icmp", sport=8, dport=0)
    asked = flow(transport="icmp6", sport=135, dport=0)
    other = flow(transport="icmp", sport=3, dport=10)
    rows = [json.loads(line) for line in conn_json([echo, asked, other])]
    assert [(r["id.orig_p"], r["id.resp_p"]) for r in rows] == [(8, 0), (135, 136), (3, 10)]
    assert {r["proto"] for r in rows} == {"icmp"}


def test_single_packet_has_no_duration_and_an_open_flow_is_interim() -> None:
    only = flow(
        last_time_ns=1_700_000_000_123_456_789,
        packets_in=0,
        packets_out=1,
        end=None,
        transport="udp",
        conn_state="S0",
        history="D",
    )
    row = json.loads(next(conn_json([only])))
    assert "duration" not in row
    assert row["interim"] is True
    assert not {"orig_bytes", "resp_bytes"} & set(row)


def test_uid_is_stable_and_differs_between_flows() -> None:
    assert connection_uid(flow()) == connection_uid(flow())
    assert connection_uid(flow()) != connection_uid(flow(id="0-8"))
    assert len(connection_uid(flow())) == 18
