"""Findings about the appliance's own addresses: none, not the declared one, answers on another
port.

The flow table and ARP messages come in, observations go out.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from ipaddress import ip_address, ip_interface

import numpy as np
from msgspec.structs import replace

from panotui.diagnosis.arp import mac_number
from panotui.diagnosis.facts import Facts, Observation, Rule, evidence
from panotui.diagnosis.thresholds import thresholds
from panotui.model import SECOND, AnyMessage, ArpMessage, EvidenceRecord, address_text, mac_text
from panotui.model.arrays import among
from panotui.model.quantities import listed

LIMITS = thresholds().addressing


class OwnAddressRule(Rule):
    """link-local, address-changed."""

    hears = frozenset((ArpMessage,))
    wakes = frozenset(("flows", "site"))

    def __init__(self) -> None:
        self._link_local: dict[str, tuple[str, EvidenceRecord]] = {}  # port -> address
        self._strange: dict[str, tuple[str, EvidenceRecord]] = {}

    def observe(self, message: AnyMessage, facts: Facts) -> None:
        if isinstance(message, ArpMessage) and message.sender_ip.startswith("169.254."):
            port = facts.ports.port_of_mac(mac_number(message.sender_mac))
            if port and self._link_local.get(port, ("",))[0] != message.sender_ip:
                seen = evidence(message.time_ns, message.packet, f"ARP from {message.sender_ip}")
                self._link_local[port] = (message.sender_ip, seen)

    def tick(self, facts: Facts) -> list[Observation]:
        """Addresses used by the appliance's MACs, compared with the site file."""
        out: list[Observation] = []
        declared = {
            name: port.address.split("/")[0]
            for name, port in facts.site.ports.items()
            if port.address
        }
        macs = facts.view.facts.appliance_macs
        self._note_own(facts)
        for port, (address, seen) in self._link_local.items():
            if facts.now_ns - seen.time_ns <= LIMITS.own_ns:
                out.append(
                    Observation(
                        "link-local",
                        port,
                        {
                            "port": port,
                            "address": address,
                            "mac": next(
                                (mac_text(m) or "" for m, p in macs.items() if p == port), ""
                            ),
                        },
                        (seen,),
                        seen.time_ns,
                    )
                )
        for port, (address, seen) in self._strange.items():
            fits = port not in declared or address in declared.values()
            if (
                fits
                or facts.view.vantage == "router"
                or facts.now_ns - seen.time_ns > LIMITS.own_ns
            ):
                continue
            text, action = _elsewhere(port, address, facts)
            out.append(
                Observation(
                    "address-changed",
                    port,
                    {"port": port, "address": address, "declared": declared[port] or ""},
                    (seen,),
                    seen.time_ns,
                    text=text,
                    action=action,
                    detail=(
                        f"what it does from {address} is not judged while the site file has"
                        " another address",
                    ),
                )
            )
        if out:
            self.due(facts.now_ns + SECOND)
        return out

    def _note_own(self, facts: Facts) -> None:
        """The addresses used by the appliance's MACs, with the flow that proves it."""
        slots, rows = facts.changed_flows()
        if not len(slots):
            return
        known = facts.view.facts.appliance_macs
        macs = np.array(sorted(known), np.uint64)
        mine = among(rows["mac_out_src"], macs) & (rows["version"] == 4)
        for row in facts.flows.rows[slots[mine][:256]]:
            address = address_text(4, row.src)
            if address.startswith(("0.", "127.")):
                continue
            port = known[row.mac_out_src]
            packet = row.first_packet
            table = self._link_local if address.startswith("169.254.") else self._strange
            old = table.get(port)
            if old is not None and old[0] == address:
                packet = old[1].packet or packet
            seen = evidence(row.last_ns, packet, f"{address} uses {port}'s MAC address")
            if table is self._strange and old is None and _is_declared(facts, address):
                continue
            table[port] = (address, seen)


def _elsewhere(port: str, address: str, facts: Facts) -> tuple[str | None, str | None]:
    """The sentence and the action if the new address lies in another network than the site's."""
    said = facts.site.ports[port].address or "" if port in facts.site.ports else ""
    if "/" not in said or ip_address(address) in ip_interface(said).network:
        return None, None
    network = ip_interface(said).network
    return (
        f"Port {port} uses {address}, which is outside the network of the site file"
        f" ({said.split('/')[0]} in {network})",
        f"Ask the owner of the switch which VLAN the port of {port} is in: it may be a"
        " guest or quarantine network (802.1X, NAC); if the move is intended, update the site file"
        " and the firewall's rules",
    )


def _is_declared(facts: Facts, address: str) -> bool:
    ports = facts.site.ports.values()
    return any(p.address is not None and p.address.split("/")[0] == address for p in ports)


class AsymmetryRule(Rule):
    """asymmetric: answers of a flow arrive on the other port."""

    wakes = frozenset(("flows", "site"))

    def __init__(self) -> None:
        self._seen: OrderedDict[str, tuple[int, int, EvidenceRecord, str, str]] = OrderedDict()

    def tick(self, facts: Facts) -> list[Observation]:
        slots, rows = facts.changed_flows()
        macs = facts.view.facts.appliance_macs
        if len(slots) and len(facts.ports.facts) > 1:
            flows = facts.flows
            known = np.array(sorted(macs), np.uint64)
            two = (
                among(rows["mac_out_src"], known)
                & among(rows["mac_in_dst"], known)
                & (rows["mac_out_src"] != rows["mac_in_dst"])
                & (rows["packets_in"] > 1)
            )
            for slot in slots[two][:64].tolist():
                row = flows.rows[slot]
                out_port = macs[row.mac_out_src]
                in_port = macs[row.mac_in_dst]
                if out_port == in_port:
                    continue
                host = address_text(row.version, row.dst)
                seen = evidence(
                    row.last_ns, row.last_packet,
                    f"left on {out_port}, came back on {in_port}",
                )  # fmt: skip
                first = self._seen.get(host, (row.first_ns,))[0]
                self._seen[host] = (first, row.last_ns, seen, out_port, in_port)
                while len(self._seen) > 32:
                    self._seen.popitem(last=False)
        if self._seen:
            self.due(facts.now_ns + SECOND)
        out = [
            Observation(
                "asymmetric",
                host,
                {"host": facts.host_of("", host), "port": out_port, "other": in_port},
                (seen,),
                first,
                last,
            )
            for host, (first, last, seen, out_port, in_port) in self._seen.items()
            if facts.now_ns - last <= LIMITS.recent_ns
        ]
        return [*out, *_one_route(out)]


def _one_route(single: list[Observation]) -> Iterable[Observation]:
    """Answers of several hosts that come back on the same other port have one cause."""
    ways: dict[tuple[str, str], list[Observation]] = {}
    for one in single:
        ways.setdefault((one.values["port"], one.values["other"]), []).append(one)
    for (port, other), found in ways.items():
        if len(found) < 2:
            continue
        hosts = listed([f.values["host"] for f in found])
        yield replace(
            found[0], subject=port, key=f"{port} {other}",
            evidence=tuple(sorted((e for f in found for e in f.evidence),
                                  key=lambda e: e.time_ns)[-8:]),
            first_ns=min(f.first_ns for f in found), last_ns=max(f.last_ns for f in found),
            text=f"Answers of {len(found)} hosts come back on {other} although the questions left"
            f" on {port}: {hosts}",
            covers=tuple(f.life_key for f in found),
        )  # fmt: skip
