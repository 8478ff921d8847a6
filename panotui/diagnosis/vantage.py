"""Findings about the vantage itself: what kind of place the capture is taken at.

The visibility book comes in, observations go out. `diagnosis.sight` handles the consequences for
other findings.
"""

from __future__ import annotations

from collections.abc import Iterable

from panotui.diagnosis.facts import Facts, Observation, Rule, clock_text, evidence
from panotui.diagnosis.thresholds import thresholds
from panotui.model import SECOND, EvidenceRecord
from panotui.model.quantities import counted
from panotui.wire.decode import DECODED_LINKS

LIMITS = thresholds().vantage
# LINKTYPE_* of tcpdump.org that people bring along, and what they are
_WIRELESS = "IEEE 802.11 frames"
_LINKS = {
    105: _WIRELESS, 119: _WIRELESS, 127: _WIRELESS, 163: _WIRELESS, 192: _WIRELESS,
    187: "Bluetooth", 201: "Bluetooth", 195: "IEEE 802.15.4 frames", 189: "USB", 220: "USB",
    227: "CAN",
}  # fmt: skip


class VantageRule(Rule):
    """not-a-mirror, mirror-one-way, capture-snapped, capture-unreadable, no-appliance."""

    wakes = frozenset(("visibility", "site"))

    def tick(self, facts: Facts) -> list[Observation]:
        out = [self._plain(index, facts) for index in facts.plain]
        out.extend(self._one_way(facts))
        out.extend(_unreadable(facts))
        if facts.visibility.snapped:
            values = {
                "snapped": str(facts.counters.snapped),
                "packets": str(facts.counters.packets),
            }
            said = evidence(facts.now_ns, 0, "frames throughout the capture, no single one")
            out.append(Observation("capture-snapped", "capture", values, (said,)))
        elif facts.visibility.bare:
            out.append(_bare(facts))
        told = facts.nobody
        if out or not (told or facts.view.facts.appliance_known):
            self.due(facts.now_ns + 10 * SECOND)  # the numbers in their sentences
        if told:
            out.append(Observation("no-appliance", "site"))
        return out

    @staticmethod
    def _plain(index: int, facts: Facts) -> Observation:
        at = facts.visibility.interfaces[index]
        if index in facts.visibility.turning.plain:
            return _turned(index, facts)
        own = " and one host's own traffic" if at.common else ""
        hosts = counted(len(at.speakers), "host")
        return Observation(
            "not-a-mirror", facts.interface_name(index),
            {"interface": facts.interface_name(index), "detail": own},
            (evidence(*at.newest, "the newest of its broadcasts"),),
            first_ns=at.since_ns,
            detail=(f"{at.spread} broadcasts and multicasts of {hosts}",),
        )  # fmt: skip

    @staticmethod
    def _one_way(facts: Facts) -> Iterable[Observation]:
        visibility, site = facts.visibility, facts.view.facts
        ports = {name: mac for mac, name in site.appliance_macs.items()}
        halves = [
            n for n in sorted(facts.view.one_way_ports & set(ports))
            if visibility.one_way((ports[n],))
        ]  # fmt: skip
        if halves and not (facts.one_way and len(halves) == len(site.appliance_macs) > 1):
            for name in halves:
                macs = [mac for mac, port in site.appliance_macs.items() if port == name]
                missing = {"towards": "what it sends", "sent": "what is sent to it"}
                way = visibility.one_way(macs) or ""
                yield Observation(
                    "mirror-one-way", name,
                    {"where": f" of {name}", "flows": _flows(visibility.one_way_flows(macs))},
                    _one_sided(visibility.proofs_of(macs)),
                    detail=(f"{missing.get(way, 'one side')} is never seen",),
                    replaces=("mirror-one-way|mirror", *_not_lost(facts)),
                )  # fmt: skip
        elif facts.one_way:
            yield Observation(
                "mirror-one-way", "mirror", {"where": "", "flows": _flows(visibility.one_sided())},
                _one_sided(visibility.proofs_of(())),
                replaces=(
                    *(f"mirror-one-way|{n}" for n in site.appliance_macs.values()),
                    *_not_lost(facts),
                ),
            )  # fmt: skip


def _not_lost(facts: Facts) -> tuple[str, ...]:
    """What seems to be lost since a direction is no longer copied is left out on purpose."""
    return ("mirror-loss|mirror",) if facts.visibility.turning.one_way else ()


def _turned(index: int, facts: Facts) -> Observation:
    """A mirror that has become a plain port."""
    at, name = facts.visibility.interfaces[index], facts.interface_name(index)
    since_ns = facts.visibility.turning.plain[index] * SECOND
    ours = set(facts.view.facts.appliance_macs)
    # with no power it would be as silent
    doubt = ", or the appliance is off" if ours and not ours & at.speakers else ""
    return Observation(
        "not-a-mirror", name, {"interface": name},
        (evidence(*at.newest, "the newest of the broadcasts that still pass here"),),
        first_ns=since_ns, confidence="likely",
        text=f"{name} has shown only broadcasts since {clock_text(since_ns)}; before, it showed"
        f" other hosts' traffic: the mirror session has been taken away or changed{doubt}",
        detail=(f"{counted(len(at.speakers), 'host')} still heard; nobody asks twice for an"
                " address, so hosts answer each other out of sight",),
        replaces=("mirror-loss|mirror",),
    )  # fmt: skip


def _unreadable(facts: Facts) -> Iterable[Observation]:
    """Interfaces whose frames have a form that the decoder does not know."""
    for interface in {i.name: i for found in facts.links.values() for i in found}.values():
        kind = interface.linktype
        if kind in DECODED_LINKS:
            continue
        link = f"{_LINKS[kind]} (link type {kind})" if kind in _LINKS else f"link type {kind}"
        said = evidence(facts.started_ns, 1, f"the first frame, as all others: {link}")
        yield Observation(
            "capture-unreadable", interface.name, {"interface": interface.name, "kind": link},
            (said,), first_ns=facts.started_ns,
        )  # fmt: skip


def _flows(count: int) -> str:
    return f"{count:,} connections were" if count > 1 else "1 connection was"


def _one_sided(proofs: Iterable[tuple[int, int]]) -> tuple[EvidenceRecord, ...]:
    return tuple(evidence(*p, "a conversation of which one side is seen begins") for p in proofs)


def _bare(facts: Facts) -> Observation:
    """Only openings and ends of connections were captured."""
    return Observation(
        "capture-snapped",
        "capture",
        evidence=(evidence(facts.now_ns, 0, "no segment of any connection holds data"),),
        text="The capture holds no data of any TCP connection, only openings and ends, so names and"
        " contents are not read",
        action="Capture without a filter on TCP flags; until then connections without a name are"
        " not judged",
        replaces=("mirror-loss|mirror",),
    )
