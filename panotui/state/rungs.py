"""How far each port of the appliance gets before its first connection: frames, lease, next hop.

A port's record, the lease book and the claim book come in, `StepRecord`s go out: for each target
the last step that succeeded, the step that fails, and how, in words. Steps that were not tried have
no row.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from panotui.model import PortRecord, StepRecord
from panotui.state.claims import ClaimBook
from panotui.state.leases import Lease, LeaseBook
from panotui.state.thresholds import thresholds

LIMITS = thresholds().rungs


def ladder_of(
    port: PortRecord, leases: LeaseBook, claims: ClaimBook, gateways: Iterable[str], now_ns: int
) -> tuple[StepRecord, ...]:
    """The rows of the port, its lease and its gateways."""
    rows = [_frames(port)]
    lease = leases.clients.get(port.mac or "")
    if lease is not None:
        rows.append(_lease(lease, port.name))
    for gateway in sorted(gateways):
        found = _next_hop(port, gateway, claims, now_ns)
        rows.extend([found] if found else [])
    return tuple(rows)


def _frames(port: PortRecord) -> StepRecord:
    sent, got = f"{port.packets_out:,} frames sent", f"{port.packets_in:,} received"
    if port.up is False and not port.link_is_ours:
        return StepRecord("port", port.name, None, "carrier", "no carrier", port.state_since_ns)
    passed = "frames-both-ways" if port.packets_out and port.packets_in else "carrier"
    failing = None
    if passed == "carrier" or port.state in ("down", "silent"):
        failing = "frames-both-ways"
    since = port.state_since_ns if failing else None
    return StepRecord("port", port.name, passed, failing, f"{sent}, {got}", since)


def _lease(lease: Lease, name: str) -> StepRecord:
    """The steps DISCOVER, OFFER, REQUEST, ACK, and renewal."""
    asked, offered, requests = lease.discovers, lease.offers, lease.requests
    first = next((r.first_ns for r in (requests, lease.unclaimed, asked) if r.count), None)
    if lease.nak is not None:
        text = f"REQUEST for {lease.asked or 'an address'} refused (NAK)"
        return StepRecord("lease", name, "request", "ack", text, lease.nak.time_ns)
    if lease.declines.count:
        text = f"{lease.declines.count} leases declined: the addresses are in use"
        return StepRecord("lease", name, "ack", "in-use", text, lease.declines.first_ns)
    if requests.count and lease.renewing:
        text = f"{requests.count} renewals of {lease.address or lease.asked} without an answer"
        return StepRecord("lease", name, "ack", "renewal", text, first)
    if requests.count:
        text = f"{requests.count} REQUESTs for {lease.asked or 'an address'} without an answer"
        return StepRecord("lease", name, "request", "ack", text, first)
    if lease.unclaimed.count and offered.count:
        text = f"{offered.count} OFFERs, none requested"
        return StepRecord("lease", name, "offer", "request", text, first)
    if asked.count:
        text = f"{asked.count} DISCOVERs, no OFFER"
        return StepRecord("lease", name, "discover", "offer", text, first)
    given = f" by {lease.server}" if lease.server else ""
    return StepRecord("lease", name, "ack", None, f"{lease.address or 'an address'} leased{given}",
                      None)  # fmt: skip


def _next_hop(port: PortRecord, gateway: str, claims: ClaimBook, now_ns: int) -> StepRecord | None:
    for address in port.addresses:
        if ipaddress.ip_address(address).version != ipaddress.ip_address(gateway).version:
            continue
        asked = claims.questions.get((address, gateway))
        if asked is not None and now_ns - asked.last_ns <= LIMITS.recent_ns:
            failing = "answered" if asked.count >= LIMITS.asked_in_vain else None
            text = f"{asked.count} ARP requests, no answer"
            return StepRecord("next-hop", gateway, "asked", failing, text, asked.first_ns)
        if (address, gateway) in claims.answered:
            text = f"answers ARP as {claims.owner(gateway)}"
            return StepRecord("next-hop", gateway, "answered", None, text, None)
    return None
