"""Packets that arrive cut off, because the path drops all IP fragments except the first, or some of
them: fragments-lost.

One finding per camera, or one for all cameras on the same path. A reader whose own reports count no
loss does get the fragments: then only this capture is without them.
"""

from __future__ import annotations

import math
from collections import OrderedDict, defaultdict, deque
from collections.abc import Iterator

from msgspec import Struct, field

from panotui.diagnosis.cameras.words import about, anchor_of, reader_name, subject_of
from panotui.diagnosis.facts import Facts, Observation, Rule, evidence
from panotui.diagnosis.thresholds import thresholds
from panotui.model import NEVER, SECOND, AnyMessage, EvidenceRecord, IcmpMessage, StreamPieces
from panotui.model.quantities import counted, some
from panotui.state.camera import Camera
from panotui.state.camera_streams import is_another_readers
from panotui.state.streams import StreamState, stream_key

LIMITS = thresholds().cameras.pieces
STREAMS_MAX = 2_048
GIVEN_UP_MAX = 256
NAMED = 6
_GIVEN_UP = {4: (11, 1), 6: (3, 1)}  # ICMP: the time for putting a packet together is over
_FILTERED = "check: a capture filtered by port lacks these fragments, and then nothing is wrong"


class _Notes(Struct):
    since_ns: int  # of the present run
    notes: deque[StreamPieces] = field(default_factory=lambda: deque(maxlen=64))


class _Cut(Struct, frozen=True):
    camera: Camera
    stream: StreamState
    since_ns: int
    last_ns: int
    packet: int
    cut: int  # packets without all of their fragments
    packets: int  # all packets of the same time
    seconds: int
    given_up: IcmpMessage | None
    some_come: bool  # not only the first fragments


class PiecesRule(Rule):
    """See the module."""

    of_cameras = True
    hears = frozenset((StreamPieces, IcmpMessage))

    def __init__(self) -> None:
        self._notes: OrderedDict[str, _Notes] = OrderedDict()
        self._given_up: OrderedDict[tuple[str, str], IcmpMessage] = OrderedDict()

    def observe(self, message: AnyMessage, facts: Facts) -> bool | None:
        if isinstance(message, StreamPieces):
            key = stream_key(facts.meter, message.stream)
            known = self._notes.setdefault(key, _Notes(message.time_ns))
            if known.notes and message.time_ns - known.notes[-1].time_ns > LIMITS.window_ns:
                self._notes[key] = known = _Notes(message.time_ns)
            known.notes.append(message)
            while len(self._notes) > STREAMS_MAX:
                self._notes.popitem(last=False)
            return True
        if not isinstance(message, IcmpMessage):
            return False
        if _GIVEN_UP.get(message.version) != (message.type, message.code):
            return False
        way = message.quoted_src or "", message.quoted_dst or ""
        self._given_up[way] = message
        while len(self._given_up) > GIVEN_UP_MAX:
            self._given_up.popitem(last=False)
        return bool(self._notes)

    def steady_ns(self, facts: Facts) -> int:
        return facts.now_ns if self._notes else NEVER

    def tick(self, facts: Facts) -> list[Observation]:
        for key in [k for k, known in self._notes.items() if not _goes_on(k, known, facts)]:
            del self._notes[key]
        if not self._notes:
            return []
        ways: dict[str, list[_Cut]] = defaultdict(list)
        for cut in self._cut_off(facts):
            ways[f"{cut.stream.port or cut.stream.dst} {cut.some_come}"].append(cut)
        out: list[Observation] = []
        for found in ways.values():
            if len({one.camera.address for one in found}) > 1 and not found[0].some_come:
                out.append(_shared(found[0].stream.port or found[0].stream.dst, found))
                continue
            worst: dict[str, _Cut] = {}
            for one in sorted(found, key=lambda one: one.cut):
                worst[one.camera.address] = one
            out += [_alone(one, facts) for one in worst.values()]
        return out

    def _cut_off(self, facts: Facts) -> Iterator[_Cut]:
        appliance = facts.view.facts.appliance_addresses
        for address, streams in facts.camera_streams.items():
            camera = facts.cameras.get(address)
            if camera is None:
                continue
            for stream in streams:
                known = self._notes.get(stream.key)
                if known is None or stream.dst == address or stream.row.end:
                    continue
                if is_another_readers(stream, appliance):
                    continue  # nobody waits for it here
                cut = self._of(camera, stream, known, facts)
                if cut is not None:
                    yield cut

    def _of(self, camera: Camera, stream: StreamState, known: _Notes, facts: Facts) -> _Cut | None:
        last = known.notes[-1]
        newest_ns = min(facts.now_ns, stream.row.last_ns)
        if newest_ns - last.time_ns > LIMITS.over_ns:
            return None  # the packets since then were whole
        first_ns = last.time_ns - LIMITS.window_ns
        notes = [note for note in known.notes if note.time_ns > first_ns]
        due = sum(note.due for note in notes)
        missing = sum(note.missing for note in notes)
        cut = sum(note.cut for note in notes)  # if one fragment is lost, none can be used
        if cut < LIMITS.packets:
            return None
        some_come = missing < LIMITS.share * due
        if some_come and (
            facts.capture_lossy
            or cut
            < LIMITS.part_share * stream.window(facts.now_ns, LIMITS.window_ns // SECOND, "packets")
        ):
            return None
        reported = stream.receiver_report_ns > known.since_ns + LIMITS.reader_ns
        lost = stream.row.rr_fraction
        if reported and math.isfinite(lost) and lost < LIMITS.reader_share:
            return None
        seconds = {note.time_ns // SECOND for note in notes}
        packets = sum(stream.seconds[s].packets for s in seconds if s in stream.seconds)
        return _Cut(
            camera, stream, known.since_ns, last.time_ns + SECOND, known.notes[0].packet, cut,
            max(cut, packets), len(seconds), self._given_up.get((camera.address, stream.dst)),
            some_come,
        )  # fmt: skip


def _goes_on(key: str, known: _Notes, facts: Facts) -> bool:
    """Whether the next missing fragment of a stream would belong to this run. While there is one,
    each second is looked at.
    """
    stream = facts.streams.streams.get(key)
    if stream is None or stream.row.end:
        return False
    told_ns = known.notes[-1].time_ns + SECOND + SECOND  # when the second after its own is over
    return stream.row.last_ns - told_ns <= LIMITS.window_ns


def _alone(one: _Cut, facts: Facts) -> Observation:
    camera, stream = one.camera, one.stream
    reader = reader_name(stream.dst, facts)
    text = action = None
    if one.some_come:
        text = (
            f"Some fragments of camera {camera.name}'s large packets do not arrive at {reader}: "
            f"{one.cut} of {counted(one.packets, 'packet')} over {one.seconds} s lack a part and "
            "are useless"
        )
        action = (
            f"Set the packet size (MTU) of {camera.name} to 1400 bytes, so that nothing is sent in "
            "parts; look at the path as for loss"
        )
    return Observation(
        "fragments-lost", subject_of(camera),
        {**about(camera), "client": stream.dst, "reader": reader,
         "cut": str(one.cut), "packets": counted(one.packets, "packet"),
         "seconds": str(one.seconds),
         "port": stream.port or "", "stream": stream.key},
        tuple(_seen(one)), one.since_ns, one.last_ns,
        "certain" if one.given_up else None, detail=(_FILTERED,), stream=stream.key,
        camera=camera.address, key=anchor_of(camera), text=text, action=action,
    )  # fmt: skip


def _shared(way: str, found: list[_Cut]) -> Observation:
    names = sorted({one.camera.name for one in found})
    cut, packets = sum(one.cut for one in found), sum(one.packets for one in found)
    given_up = any(one.given_up for one in found)
    return Observation(
        "fragments-lost", f"cameras behind {way}",
        {"port": found[0].stream.port or "", "camera": "", "stream": ""},
        tuple(piece for one in found[:4] for piece in _seen(one)),
        min(one.since_ns for one in found), max(one.last_ns for one in found),
        "certain" if given_up else None, detail=(_FILTERED,),
        text=f"Only the first fragment of large packets of {len(names)} cameras arrives at {way} "
             f"({some(names, NAMED)}): {cut} of {counted(packets, 'packet')} over "
             f"{max(one.seconds for one in found)} s are cut off",
        action=f"Ask the owner of the firewall or router between these cameras and {way} to let IP "
               "fragments through, or set the cameras' packet size (MTU) to 1400 bytes",
        covers=tuple(f"fragments-lost|{anchor_of(one.camera)}" for one in found),
        weight=float(len(names)),
    )  # fmt: skip


def _seen(one: _Cut) -> Iterator[EvidenceRecord]:
    yield evidence(
        one.since_ns, one.packet, f"first fragment of {one.camera.name}; the others did not come"
    )
    if one.given_up is not None:
        reader = one.given_up.src
        yield evidence(
            one.given_up.time_ns, one.given_up.packet,
            f"ICMP of {reader}: it waited in vain for the other fragments",
        )  # fmt: skip
