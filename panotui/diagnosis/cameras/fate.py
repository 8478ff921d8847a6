"""Simultaneous failures of several cameras have one cause, where their paths meet.

cameras-silent: streams of several cameras that stop within a second. loss-shared: losses of several
cameras at the same times. Each replaces the findings of its members.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from collections.abc import Iterable, Iterator

from msgspec import Struct

from panotui.diagnosis.cameras.words import stream_anchor, whose
from panotui.diagnosis.facts import Facts, Observation, Rule, clock_text, evidence
from panotui.diagnosis.thresholds import thresholds
from panotui.model import NEVER, SECOND, AnyMessage, StreamGap
from panotui.model.quantities import counted, some
from panotui.state.camera import Camera
from panotui.state.camera_streams import let_go
from panotui.state.streams import LIMITS as STREAM_LIMITS
from panotui.state.streams import StreamState, media_of, stream_key

LIMITS = thresholds().cameras.fate
_OF_SILENCE = ("stream-frozen", "camera-unreachable")  # findings of a single camera that stops
GAPS_MAX = 4096
NAMED = 6


class _Member(Struct, frozen=True):
    camera: Camera
    stream: StreamState
    anchor: str

    def life_key(self, finding: str) -> str:
        return f"{finding}|{self.anchor}"


class _Burst(Struct, frozen=True):
    time_ns: int
    packet: int
    lost: int
    stream: str


class FateRule(Rule):
    """See the module."""

    of_cameras = True
    hears = frozenset((StreamGap,))

    def __init__(self) -> None:
        self._bursts: deque[_Burst] = deque(maxlen=GAPS_MAX)

    def observe(self, message: AnyMessage, facts: Facts) -> None:
        if isinstance(message, StreamGap) and message.where == "path":
            key = stream_key(facts.meter, message.stream)
            self._bursts.append(_Burst(message.time_ns, message.packet, message.lost, key))

    def steady_ns(self, facts: Facts) -> int:
        return NEVER if not self._bursts else facts.now_ns

    def tick(self, facts: Facts) -> list[Observation]:
        oldest = facts.now_ns - STREAM_LIMITS.loss_window_s * SECOND
        while self._bursts and self._bursts[0].time_ns < oldest:
            self._bursts.popleft()
        if len(facts.camera_streams) < 2:
            return []
        members = list(_members(facts))
        out: list[Observation] = []
        ways: dict[str, list[_Member]] = defaultdict(list)
        for member in members:
            ways[member.stream.port or member.stream.dst].append(member)
        for way, own in ways.items():
            out.extend(_silent(way, own, facts))
        out.extend(self._losing(members, facts))
        return out

    def _losing(self, members: list[_Member], facts: Facts) -> Iterable[Observation]:
        by_stream = {m.stream.key: m for m in members if m.stream.row.transport == 17}
        bursts = [b for b in self._bursts if b.stream in by_stream]
        if len(bursts) < 2 * LIMITS.bursts:
            return
        bursts.sort(key=lambda b: b.time_ns)
        own: OrderedDict[str, int] = OrderedDict()
        shared: dict[str, int] = defaultdict(int)
        seen: list[_Burst] = []
        for at, burst in enumerate(bursts):
            address = by_stream[burst.stream].camera.address
            own[address] = own.get(address, 0) + 1
            if any(by_stream[b.stream].camera.address != address for b in _near(bursts, at)):
                shared[address] += 1
                seen.append(burst)
        together = [
            address
            for address, count in own.items()
            if count >= LIMITS.bursts and shared[address] >= LIMITS.shared_share * count
        ]
        if len(together) < 2:
            return
        losing = [m for m in by_stream.values() if m.camera.address in together]
        ports = {m.stream.port or m.stream.dst for m in losing}
        where = next(iter(ports)) if len(ports) == 1 else "the reader"
        behind = {m.camera.address for m in by_stream.values() if m.stream.port in ports}
        names = sorted({m.camera.name for m in losing})
        yield Observation(
            "loss-shared", f"cameras behind {where}",
            {"count": str(len(names)), "names": some(names, NAMED), "where": where,
             "port": where if losing[0].stream.port else "",
             "detail": _others(behind - set(together), set(own))},
            tuple(
                evidence(b.time_ns, b.packet, f"{b.lost} lost of {by_stream[b.stream].camera.name}")
                for b in seen[-8:]
            ),
            seen[0].time_ns, seen[-1].time_ns,
            covers=tuple(m.life_key(i) for m in losing for i in ("stream-loss", "stream-burst")),
            weight=float(len(names)),
        )  # fmt: skip


def _members(facts: Facts) -> Iterator[_Member]:
    for address, streams in facts.camera_streams.items():
        camera = facts.cameras.get(address)
        if camera is None:
            continue
        for stream in streams:
            if stream.dst != address and media_of(stream.codec) in ("video", None):
                extra = whose(stream, streams, facts)
                yield _Member(camera, stream, stream_anchor(camera, stream, extra, len(streams)))


def _near(bursts: list[_Burst], at: int) -> Iterator[_Burst]:
    """Bursts at the same time, before and after."""
    time_ns = bursts[at].time_ns
    for step in (-1, 1):
        other = at + step
        while 0 <= other < len(bursts) and abs(bursts[other].time_ns - time_ns) <= LIMITS.moment_ns:
            yield bursts[other]
            other += step


def _silent(way: str, members: list[_Member], facts: Facts) -> Iterable[Observation]:
    frozen = [m for m in members if m.stream.state == "frozen" and _is_wanted(m, facts)]
    if len({m.camera.address for m in frozen}) < 2:
        return
    frozen.sort(key=lambda m: m.stream.row.last_ns)
    newest = frozen[-1].stream.row.last_ns
    together = [m for m in frozen if newest - m.stream.row.last_ns <= LIMITS.together_ns]
    if len({m.camera.name for m in together}) < 2:
        return
    first = together[0].stream.row.last_ns
    # cameras that stopped with them and are back did not continue
    back = [m for m in members if m.stream.state != "frozen" and _stopped_at(m.stream, first)]
    names = sorted({m.camera.name for m in (*together, *back)})
    flowing = {m.camera.address for m in members if m.stream.state not in ("frozen", "ended")}
    flowing -= {m.camera.address for m in (*together, *back)}
    text: str | None = None
    action: str | None = None
    if flowing:
        others = counted(len(flowing), "other", "others")
        verb = "goes" if len(flowing) == 1 else "go"
        text = (
            f"{len(names)} cameras stopped in the same second, at {clock_text(first)}, while "
            f"{others} behind {way} {verb} on: {some(names, NAMED)}"
        )
        action = "Look for what these cameras share: a PoE switch, its power, its uplink"
    yield Observation(
        "cameras-silent", f"cameras behind {way}",
        {"count": str(len(names)), "names": some(names, NAMED), "where": way,
         "port": together[0].stream.port or "", "since": clock_text(first)},
        tuple(
            evidence(m.stream.row.last_ns, m.stream.row.last_packet,
                     f"last packet of {m.camera.name}")
            for m in together[:8]
        ),
        first, facts.now_ns, text=text, action=action,
        covers=tuple(m.life_key(i) for m in together for i in _OF_SILENCE),
        weight=float(len(names)),
    )  # fmt: skip


def _is_wanted(member: _Member, facts: Facts) -> bool:
    """Its reader has neither ended it nor started the camera again."""
    found = facts.cameras.session_of(member.stream.meter, member.stream.row.session)
    return not let_go(member.camera, member.stream, found[1] if found else None)


def _stopped_at(stream: StreamState, time_ns: int) -> bool:
    """A silence of the stream began then."""
    return any(
        f.kind in ("silence", "backlog") and abs(f.start_ns - time_ns) <= LIMITS.together_ns
        for f in stream.freezes
    )


def _others(addresses: set[str], losing: set[str]) -> str:
    """What the cameras do that do not lose in these moments: some lose at other times."""
    apart, unhurt = len(addresses & losing), len(addresses - losing)
    said = []
    if apart:
        lose = "loses" if apart == 1 else "lose"
        said.append(f"{counted(apart, 'other', 'others')} {lose} packets at other times")
    if unhurt:
        do = "does" if unhurt == 1 else "do"
        said.append(f"{counted(unhurt, 'other', 'others')} {do} not")
    return "".join(f"; {one}" for one in said)
