"""The result of `analyze`: one JSON object, `panotui.analysis/1`, from a snapshot and flow
records.

The same function serves captures (from the engine) and recordings (from their tables), so both give
the same object. Times are RFC 3339 UTC with microseconds, rates bits/s, sizes bytes; unknown values
are null, and NaN never appears. `schema.json` beside this file describes every field.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from panotui.model import (
    SCHEMA_ANALYSIS,
    FlowRecord,
    Snapshot,
)
from panotui.report.flow_columns import flow_objects
from panotui.report.objects import (
    Json,
    camera_object,
    clock_object,
    device_object,
    endpoint_object,
    evidence_file_object,
    finding_objects,
    flow_object,
    port_object,
    site_object,
    source_object,
    stream_object,
    time_text,
    violation_object,
)
from panotui.state.flows.book import FlowListing

if TYPE_CHECKING:
    from panotui.engine.engine import Engine
    from panotui.policy.queries.rejudge import FlowChange

FLOWS_A_PIECE = 1_024


def analysis(engine: Engine) -> Json:
    """The object of a running (or finished) engine."""
    return analysis_from_records(engine.snapshot(), engine.flow_records())


def analysis_from_records(
    snapshot: Snapshot, flows: Iterable[FlowRecord], changes: Iterable[FlowChange] | None = None
) -> Json:
    """The object of a snapshot and its flows (in order of time).

    `changes`: flows that another site file judges differently; None if nothing was compared.
    """
    whole: Json = clean(
        {
            "schema": SCHEMA_ANALYSIS,
            "source": source_object(snapshot.source),
            "site": site_object(snapshot.site),
            "ports": [port_object(p) for p in snapshot.ports],
            "flows": [flow_object(f) for f in flows],
            "streams": [stream_object(s) for s in snapshot.streams],
            "cameras": [camera_object(c) for c in snapshot.cameras],
            "endpoints": [endpoint_object(e) for e in snapshot.endpoints],
            "devices": [device_object(d) for d in snapshot.devices],
            "clock": clock_object(snapshot.clock),
            "violations": [violation_object(v) for v in snapshot.violations],
            "findings": finding_objects(snapshot.findings),
            "evidence": [evidence_file_object(e) for e in snapshot.evidence],
            "counts": msgspec.to_builtins(snapshot.counts),
            "limits": dict(snapshot.limits),
        }
    )
    if snapshot.window is not None:
        whole["window"] = {
            "since": time_text(snapshot.window.since_ns),
            "until": time_text(snapshot.window.until_ns),
            "filter": snapshot.window.filter,
        }
    if changes is not None:
        whole["verdict_changes"] = [msgspec.to_builtins(c) for c in changes]
    return whole


def json_pieces(
    snapshot: Snapshot, flows: Iterable[FlowRecord], changes: Iterable[FlowChange] | None = None
) -> Iterator[bytes]:
    """The text of `analysis_from_records` and a line end, in pieces, so that flows are never all in
    memory.
    """
    whole = analysis_from_records(snapshot, (), changes)
    for name, value in whole.items():
        key = b"{" if name == "schema" else b","
        yield key + msgspec.json.encode(name) + b":"
        if name != "flows":
            yield msgspec.json.encode(value)
            continue
        yield b"["
        comma = b""
        for some in _flow_pieces(flows):
            yield comma + some
            comma = b","
        yield b"]"
    yield b"}\n"


def _flow_pieces(flows: Iterable[FlowRecord]) -> Iterator[bytes]:
    """Objects of flows, separated by commas; by column if the flows come from a table."""
    if isinstance(flows, FlowListing):
        for block in flows.blocks():
            yield flow_objects(block)
        return
    remaining = iter(flows)
    while some := list(islice(remaining, FLOWS_A_PIECE)):
        # the encoder writes null for NaN and infinities, as `clean` does
        yield msgspec.json.encode([flow_object(flow) for flow in some])[1:-1]


def clean(value: Any) -> Any:
    """The same tree with NaN and infinities as null and tuples as lists."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {k: clean(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [clean(v) for v in value]
    return value


def lines(
    snapshot: Snapshot, flows: Iterable[FlowRecord], changes: Iterable[FlowChange] | None = None
) -> Iterator[Json]:
    """The same content as one object per line, each with a `type`; flows are never all in
    memory.
    """
    whole = analysis_from_records(snapshot, (), changes)
    yield {"type": "source", "schema": whole["schema"], **whole["source"]}
    if "window" in whole:
        yield {"type": "window", **whole["window"]}
    yield {"type": "site", **whole["site"]}
    for port in whole["ports"]:
        yield {"type": "port", **port}
    for flow in flows:
        yield {"type": "flow", **clean(flow_object(flow))}
    for name, singular in (
        ("streams", "stream"), ("cameras", "camera"), ("endpoints", "endpoint"),
        ("devices", "device"),
    ):  # fmt: skip
        for item in whole[name]:
            yield {"type": singular, **item}
    yield {"type": "clock", **whole["clock"]}
    for violation in whole["violations"]:
        yield {"type": "violation", **violation}
    for finding in whole["findings"]:
        yield {"type": "finding", **finding}
    for kept in whole["evidence"]:
        yield {"type": "evidence", **kept}
    for change in whole.get("verdict_changes", ()):
        yield {"type": "verdict-change", **change}
    yield {"type": "counts", **whole["counts"]}
    yield {"type": "limits", **whole["limits"]}


def dumps(value: Json, *, pretty: bool = False) -> str:
    """JSON text; raises ValueError for NaN, which `clean` removes."""
    if pretty:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, indent=2)
    return msgspec.json.encode(value).decode()


@lru_cache(maxsize=1)
def schema() -> Json:
    """The JSON Schema of the object, from the package."""
    text = Path(__file__).with_name("schema.json").read_text("utf-8")
    loaded: Json = json.loads(text)
    return loaded


# ------------------------------------------------------------------ one object per record
