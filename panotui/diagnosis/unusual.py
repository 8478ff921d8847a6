"""Findings about deviations from a learnt baseline: unusual-stream, unusual-reader,
unusual-endpoint, unusual-peer.

For each minute of packet time, the books provide the values of each camera, endpoint and new flow,
`state.habits` compares them, and a deviation that lasts long enough is reported with both numbers.
"""

from __future__ import annotations

import numpy as np

from panotui.diagnosis.facts import Facts, Observation, Rule, clock_text, evidence
from panotui.model import SECOND, EvidenceRecord, FlowRecord
from panotui.model.baseline import Baseline, CameraMinute, Minute
from panotui.model.quantities import rate
from panotui.policy.judging.decision import BYSTANDER
from panotui.state.habits import Departure, Watch, endpoint_of, peer_of
from panotui.state.streams import StreamState

MINUTE = 60 * SECOND
FLOWS_A_MINUTE = 4_096
HARDLY = 0.01  # of the usual value: below this a number says less than the word
_IDS = {"reader": "unusual-reader", "peer": "unusual-peer", "rtt_ms": "unusual-endpoint",
        "quiet": "unusual-endpoint"}  # fmt: skip
_SERIOUS = frozenset(("fps", "loss", "absent", "quiet"))


class UnusualRule(Rule):
    """See the module."""

    wakes = frozenset()

    def __init__(self, baseline: Baseline) -> None:
        self._watch = Watch(baseline)
        self._weeks = baseline.minutes / (7 * 24 * 60)
        self._counted: dict[str, tuple[int, int, int, int, int]] = {}  # by stream, since its start
        self._standing: list[Observation] = []
        self._proofs: dict[Departure, tuple[EvidenceRecord, ...]] = {}  # of what stands
        self._minute = 0

    def tick(self, facts: Facts) -> list[Observation]:
        minute = facts.now_ns // MINUTE
        self.due((minute + 1) * MINUTE)
        if minute == self._minute:
            return self._standing
        whole = self._minute == minute - 1
        self._minute = minute
        cameras = self._cameras(facts)
        if whole:  # the first minute, and one after a gap, does not count
            flows = _begun(facts, (minute - 1) * MINUTE)
            endpoints, peers = _contacts(flows)
            told = self._watch.feed(
                Minute(time_s=(minute - 1) * 60, cameras=cameras, endpoints=endpoints, peers=peers)
            )
            proofs, known = {}, {_what(d): seen for d, seen in self._proofs.items()}
            for one in told:
                proofs[one] = _proof(one, flows, facts) or known.get(_what(one), ())
            self._proofs = proofs
            self._standing = [observation(d, self._weeks, proofs[d]) for d in told]
        return self._standing

    def _cameras(self, facts: Facts) -> dict[str, CameraMinute]:
        counted: dict[str, tuple[int, int, int, int, int]] = {}
        grown: dict[str, list[tuple[StreamState, list[int]]]] = {}
        for key, state in facts.streams.streams.items():
            row = state.row
            now = (row.bytes, row.expected, row.lost, row.frames, row.keyframes)
            before = self._counted.get(key, (0, 0, 0, 0, 0))
            counted[key] = now
            more = [max(0, a - b) for a, b in zip(now, before, strict=True)]
            if more[0]:
                grown.setdefault(state.camera or state.src, []).append((state, more))
        self._counted = counted
        return {name: _camera(parts) for name, parts in grown.items()}


def _camera(parts: list[tuple[StreamState, list[int]]]) -> CameraMinute:
    size, expected, lost = (sum(more[i] for _, more in parts) for i in range(3))
    frames = max(more[3] for _, more in parts)
    keys = max(more[4] for _, more in parts)
    return CameraMinute(
        rate_bps=size * 8 / 60,
        fps=frames / 60 if frames else None,
        gop_s=60 / keys if keys else None,
        loss=lost / expected if expected else None,
        readers=tuple(sorted({state.dst for state, _ in parts})),
    )


def _begun(facts: Facts, begin_ns: int) -> tuple[FlowRecord, ...]:
    """The flows that began in the minute before `begin_ns`: their names are known by now."""
    first = facts.flows.rows["first_ns"]
    new = facts.flows.live & (first >= begin_ns - MINUTE) & (first < begin_ns)
    return tuple(facts.flows.records(np.flatnonzero(new)[:FLOWS_A_MINUTE], facts.now_ns))


def _contacts(
    flows: tuple[FlowRecord, ...],
) -> tuple[dict[str, float | None], tuple[str, ...]]:
    """Their endpoints, with the round trip, and their peers."""
    endpoints: dict[str, float | None] = {}
    peers: dict[str, None] = {}
    for flow in flows:
        name = endpoint_of(flow)
        if name is not None:
            endpoints[name] = flow.rtt_ms if flow.rtt_ms is not None else endpoints.get(name)
        peer = peer_of(flow)
        if peer is not None:
            peers[peer] = None
    return endpoints, tuple(peers)


def _what(departure: Departure) -> tuple[str, str, str]:
    return departure.kind, departure.subject, departure.name


def _proof(
    departure: Departure, flows: tuple[FlowRecord, ...], facts: Facts
) -> tuple[EvidenceRecord, ...]:
    """A packet of what is not as usual; of an absence there is none."""
    kind, subject = departure.kind, departure.subject
    if kind in ("peer", "rtt_ms"):
        named = peer_of if kind == "peer" else endpoint_of
        seen = next((f for f in flows if named(f) == subject), None)
        return (
            (evidence(seen.first_time_ns, seen.first_packet, "its first packet"),) if seen else ()
        )
    own = [
        s.row
        for s in facts.streams.streams.values()
        if (s.camera or s.src) == subject and kind != "absent"
        and (kind != "reader" or s.dst == departure.name)
    ]  # fmt: skip
    if not own:
        return ()
    if kind == "reader":
        row = min(own, key=lambda row: row.first_ns)
        return (evidence(row.first_ns, row.first_packet, f"first packet to {departure.name}"),)
    row = max(own, key=lambda row: row.last_ns)
    return (evidence(row.last_ns, row.last_packet, "measured up to here"),)


def observation(
    departure: Departure, weeks: float, proof: tuple[EvidenceRecord, ...] = ()
) -> Observation:
    """The deviation as an observation. `weeks`: how much was learnt; `proof`: a packet of it."""
    kind, subject = departure.kind, departure.subject
    is_stream = kind in ("rate_bps", "fps", "gop_s", "loss", "absent")
    about = f"camera {subject}" if is_stream or kind == "reader" else _called(subject)
    since = departure.since_s * SECOND
    return Observation(
        _IDS.get(kind, "unusual-stream"), about,
        {"detail": _sentence(departure, weeks), "subject": subject, "name": departure.name}, proof,
        first_ns=since, severity="warning" if kind in _SERIOUS else "info",
        detail=(f"since {clock_text(since)}", f"learnt from {_learnt(weeks)}"),
        action=_action(departure), key=f"{kind}|{subject}|{departure.name}",
    )  # fmt: skip


def _called(subject: str) -> str:
    """`SERVICE/HOST/PORT` as a person says it."""
    _, _, rest = subject.partition("/")
    host, _, port = rest.rpartition("/")
    return f"{host} port {port}" if host else subject


def _sentence(d: Departure, weeks: float) -> str:
    value, usual, spread = d.value or 0.0, d.usual or 0.0, d.spread or 0.0
    called = _called(d.subject)
    when = f"{d.when} " if d.when != "usually" else "usually "
    if d.kind == "rate_bps":
        sends = rate(value)
        if value < HARDLY * usual:
            sends = f"hardly anything ({sends})" if value >= 1 else "nothing"
        return f"{d.subject} sends {sends}, {when}{rate(usual)} +- {rate(spread)}"
    if d.kind == "fps" and value < HARDLY * usual:
        return f"{d.subject} shows hardly a picture, {when}{usual:.1f} +- {spread:.1f} a second"
    if d.kind == "fps":
        return f"{d.subject} shows {value:.1f} pictures a second, {when}{usual:.1f} +- {spread:.1f}"
    if d.kind == "gop_s":
        return f"{d.subject} sends a key frame each {value:.1f} s, {when}each {usual:.1f} s"
    if d.kind == "loss":
        return f"{d.subject} loses {100 * value:.2f} %, {when}{100 * usual:.2f} %"
    if d.kind == "absent":
        return f"{d.subject} sends no stream, {when}it does"
    if d.kind == "reader":
        return f"{d.name} reads {d.subject}, which it did not in {_learnt(weeks)}"
    if d.kind == "rtt_ms":
        return f"{called} answers after {value:.0f} ms, {when}{usual:.0f} +- {spread:.0f} ms"
    if d.kind == "quiet":
        return (
            f"{called} has not been contacted for {value:.0f} min; the longest pause in "
            f"{_learnt(weeks)} was {usual:.0f} min"
        )
    source, _, target = d.subject.partition(" > ")
    if target == BYSTANDER:
        return f"{source} takes part in this site's traffic, which it did not in {_learnt(weeks)}"
    return f"{source} speaks to {target}, which it did not in {_learnt(weeks)}"


def _action(d: Departure) -> str:
    if d.kind == "reader":
        return f"Find out who reads {d.subject} from {d.name} if nobody has set that up"
    if d.kind == "peer":
        return "Find out what asks for it if nobody has changed the site"
    if d.kind in ("rtt_ms", "quiet"):
        return "Look at the appliance's applications and the way to it if nobody has changed them"
    if d.kind == "absent" or (d.kind == "rate_bps" and (d.value or 0.0) < 1):
        return f"Look at the power and the cable of {d.subject} if nobody has taken it down"
    return f"Compare the settings of {d.subject} with those before, if nobody has changed them"


def _learnt(weeks: float) -> str:
    days = weeks * 7
    if days < 1.9:
        return f"{days * 24:.0f} hours"
    return f"{days:.0f} days" if weeks < 2 else f"{weeks:.0f} weeks"
