"""Counts of what was evicted, skipped and missed, by the names that the JSON has for them."""

from __future__ import annotations

import msgspec

from panotui.diagnosis.diagnosis import Diagnosis
from panotui.diagnosis.facts import Facts
from panotui.model import MeterCounters
from panotui.state.devices import DeviceBook
from panotui.state.tracking import ConnectionTracking
from panotui.state.verdicts import VerdictBook


def limits_of(
    counters: MeterCounters,
    facts: Facts,
    devices: DeviceBook,
    verdicts: VerdictBook,
    tracking: ConnectionTracking,
    diagnosis: Diagnosis,
) -> dict[str, int]:
    """The counts of the meters, of the books and of the rules."""
    out: dict[str, int] = msgspec.to_builtins(counters)
    for name in ("packets", "bytes", "ip_packets", "one_way_flows", "two_way_flows",
                 "control_taken", "fragments"):  # fmt: skip
        out.pop(name, None)
    # A flow may be evicted in the meter and here, and one that was never reported is missing as
    # well: the sum counts flows that are missing or incomplete.
    opened = out.pop("flows_opened")
    if out["flows_evicted"] or facts.flows.evicted:
        out["flows_evicted"] = max(0, opened - facts.flows.whole())
    out["streams_evicted"] += facts.streams.evicted
    out["cameras_evicted"] = facts.cameras.evicted
    out["endpoints_evicted"] = facts.endpoints.evicted
    out["devices_evicted"] = devices.evicted
    out["devices_skipped"] = devices.skipped
    out["targets_evicted"] = facts.connects.evicted
    out["findings_evicted"] = diagnosis.evicted
    out["names_evicted"] = facts.names.evicted
    out["link_rows_skipped"] = facts.ports.skipped
    out["violations_skipped"] = verdicts.skipped
    out["connections_skipped"] = tracking.skipped
    out["ring_dropped"] = facts.ring_dropped
    out["interface_dropped"] = facts.interface_dropped
    return out
