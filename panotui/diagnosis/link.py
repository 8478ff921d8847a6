"""Findings about the cable: carrier, speed, duplex, errors, and packets missed by this tool.

Link readings and capture counters (through `Facts`) come in, observations go out. Readings of a
separate capture interface say nothing about the appliance's cable: findings name the interface, and
a slow link there only means a slow mirror.
"""

from __future__ import annotations

from collections import deque

from panotui.diagnosis.facts import Facts, Observation, Rule, evidence
from panotui.diagnosis.thresholds import thresholds
from panotui.model import SECOND
from panotui.model.quantities import counted, link_speed
from panotui.state.ports import LinkState, neighbour_text

MINUTE = 60 * SECOND
LIMITS = thresholds().link


def _subjects(facts: Facts) -> list[tuple[str, LinkState, bool]]:
    """(subject, link, not the appliance's) of each capture interface with readings."""
    ours = facts.view.vantage in ("mirror", "file", None)
    by_interface = {p.interface: p.name for p in facts.port_records if p.interface}
    return [
        (name if ours else by_interface.get(name, name), link, ours)
        for name, link in facts.ports.links.items()
    ]


class LinkRule(Rule):
    """link-down, link-flap, link-slow, half-duplex, rx-errors, rx-dropped."""

    wakes = frozenset(("ports", "loss", "site"))

    def __init__(self) -> None:
        self._dropped: deque[tuple[int, int]] = deque(maxlen=120)

    def tick(self, facts: Facts) -> list[Observation]:
        out: list[Observation] = []
        for subject, link, ours in _subjects(facts):
            out.extend(self._of_link(subject, link, ours, facts.now_ns))
        out.extend(self._duplex_by_switch(facts))
        out.extend(self._drops(facts))
        if out:
            self.due(facts.now_ns + SECOND)
        return out

    @staticmethod
    def _of_link(subject: str, link: LinkState, ours: bool, now: int) -> list[Observation]:
        reading = link.reading
        out: list[Observation] = []
        values = {"port": subject, "interface": subject}
        where = (
            "this is the probe's own interface: a mirror port is down; the site itself may be fine",
        )
        if reading.up is False or not reading.present:
            text = None if reading.present else f"Interface {subject} has gone"
            at = link.down_ns or reading.time_ns
            out.append(
                Observation(
                    "link-down",
                    subject,
                    values,
                    (evidence(at, 0, "carrier lost"),),
                    at,
                    detail=where if ours else (),
                    text=text,
                )
            )
        flaps = [t for t in link.flaps if now - t <= MINUTE]
        if len(flaps) >= LIMITS.flaps:
            seen = tuple(evidence(t, 0, "carrier changed") for t in flaps[-8:])
            out.append(
                Observation(
                    "link-flap", subject, {**values, "changes": str(len(flaps))}, seen, flaps[0]
                )
            )
        speed = reading.speed_mbps
        if reading.up and speed is not None and 0 < speed < LIMITS.nominal_mbps:
            out.append(
                Observation(
                    "link-slow",
                    subject,
                    {**values, "speed": str(speed)},
                    (evidence(reading.time_ns, 0, f"negotiated {link_speed(speed)}"),),
                    severity="info" if ours else None,
                )
            )
        if reading.up and reading.duplex == "half":
            out.append(
                Observation(
                    "half-duplex",
                    subject,
                    {**values, "detail": ""},
                    (evidence(reading.time_ns, 0, "the interface reports half duplex"),),
                )
            )
        errors = link.rise("rx_errors", MINUTE)
        frames = link.rise("rx_packets", MINUTE)
        if errors and errors > LIMITS.errors_share * max(frames, 1):
            out.append(
                Observation(
                    "rx-errors",
                    subject,
                    {**values, "errors": str(errors)},
                    (evidence(reading.time_ns, 0, f"{errors} errors in {frames} frames"),),
                )
            )
        dropped = link.rise("rx_dropped", MINUTE)
        if dropped and frames and dropped > LIMITS.dropped_share * frames:
            out.append(
                Observation(
                    "rx-dropped",
                    subject,
                    {"dropped": str(dropped), "detail": f" on {subject} (interface counter)"},
                    (evidence(reading.time_ns, 0, f"rx_dropped rose by {dropped}"),),
                    confidence="possible",
                    severity="info",
                )
            )
        return out

    @staticmethod
    def _duplex_by_switch(facts: Facts) -> list[Observation]:
        out: list[Observation] = []
        for index, (message, _) in facts.ports.neighbours.items():
            if message.duplex != "half":
                continue
            name = facts.port_at(index) or facts.interface_name(index)
            out.append(
                Observation(
                    "half-duplex",
                    name,
                    {"port": name, "detail": f": {neighbour_text(message)} says so"},
                    (evidence(message.time_ns, message.packet, "LLDP: half duplex"),),
                )
            )
        return out

    def _drops(self, facts: Facts) -> list[Observation]:
        now = facts.now_ns
        missed = facts.ring_dropped + facts.interface_dropped
        self._dropped.append((now, missed))
        old = next((n for t, n in self._dropped if now - t <= MINUTE), 0)
        before = [n for t, n in self._dropped if now - t > MINUTE]
        grown = missed - (before[-1] if before else old if len(self._dropped) > 1 else 0)
        if grown <= 0:
            return []
        total = facts.counters.packets + missed
        share = 100 * grown / max(1, total)
        return [
            Observation(
                "rx-dropped",
                "this tool",
                {"dropped": str(grown), "detail": f" ({share:.2g} % of all)"},
                (evidence(now, 0, f"the capture missed {counted(grown, 'packet')} until here"),),
                text=None if facts.live else _by_another(grown, share),
            )
        ]


def _by_another(missed: int, share: float) -> str:
    """The sentence of `rx-dropped` for a file: what wrote it counted them."""
    return (
        f"The machine that captured this could not keep up: it missed {counted(missed, 'packet')}"
        f" ({share:.2g} % of all)"
    )
