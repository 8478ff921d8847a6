"""The streams of a camera, one by one, along their ladder: packets, pictures, loss, jitter, clock.

A frozen stream is reported as frozen only; each step has its own file (`freezes`, `loss`, `pace`,
`stamps`, `shape`), and `readers` covers the other end.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from msgspec.structs import replace

from panotui.diagnosis.cameras import freezes, loss, pace, shape, stamps
from panotui.diagnosis.cameras.readers import SlowReaders
from panotui.diagnosis.cameras.stamps import StampClocks
from panotui.diagnosis.cameras.stream_events import Events, Memory, Watched
from panotui.diagnosis.cameras.words import About, about, stream_anchor, stream_subject, whose
from panotui.diagnosis.facts import Facts, Observation, Rule
from panotui.diagnosis.thresholds import thresholds
from panotui.model import NEVER, AnyMessage, StreamFreeze, StreamGap, StreamRestart
from panotui.model.quantities import rate as rate_text
from panotui.state.camera import Camera
from panotui.state.camera_streams import given_up, is_another_readers
from panotui.state.streams import StreamState, media_of, stream_key
from panotui.wire.protocols import TCP

STREAMS_MAX = 2048
LIMITS = thresholds().cameras.streams


class StreamRule(Rule):
    """stream-loss, stream-burst, stream-jitter, stream-frozen, stream-frozen-picture, stream-fps,
    stream-gop, stream-bitrate, stream-restart, stream-camera-drop, stream-timestamps,
    receiver-slow."""

    of_cameras = True
    lasting = frozenset(("stream-gop", "stream-timestamps"))
    hears = frozenset((StreamGap, StreamRestart, StreamFreeze))

    def __init__(self) -> None:
        self._events: OrderedDict[str, Events] = OrderedDict()
        self._memory = Memory()
        self._readers = SlowReaders()
        self._clocks = StampClocks()

    def observe(self, message: AnyMessage, facts: Facts) -> None:
        if not isinstance(message, StreamGap | StreamRestart | StreamFreeze):
            return
        events = self._events.setdefault(stream_key(facts.meter, message.stream), Events())
        while len(self._events) > STREAMS_MAX:
            self._events.popitem(last=False)
        events.take(message)

    def steady_ns(self, facts: Facts) -> int:
        settled = not self._readers and self._clocks.are_settled(facts.now_ns)
        return NEVER if settled else facts.now_ns

    def tick(self, facts: Facts) -> list[Observation]:
        out: list[Observation] = []
        load: dict[str, float] = {}
        self._readers.take(facts)
        for address, streams in facts.camera_streams.items():
            camera = facts.cameras.get(address)
            if camera is None:
                continue
            for stream in streams:
                if stream.dst == camera.address:
                    continue  # audio of a reader, which is sent only when somebody speaks
                seen = self._of(camera, stream, streams, facts)
                if is_another_readers(stream, facts.view.facts.appliance_addresses):
                    seen = (replace(one, severity="info") for one in seen)
                out.extend(seen)
                if stream.port:
                    rate = stream.window(facts.now_ns, 10, "bytes") * 0.8
                    load[stream.port] = load.get(stream.port, 0.0) + rate
            out.extend(self._readers.of(camera, facts))
        out.extend(_too_much(load, facts))
        return out

    def _of(
        self, camera: Camera, stream: StreamState, streams: list[StreamState], facts: Facts
    ) -> Iterable[Observation]:
        row = stream.row
        found = facts.cameras.session_of(stream.meter, row.session)
        session = found[1] if found else None
        waited_for = freezes.said_goodbye(stream, session) or given_up(camera, stream, session)
        if facts.now_ns - row.last_ns > LIMITS.ended_ns and row.end and not waited_for:
            return
        media = media_of(stream.codec)
        if media == "repair":
            return
        if facts.visibility.snapped and row.transport == TCP:
            return  # of frames that are cut short, media within TCP cannot be followed
        extra = whose(stream, streams, facts)
        named = camera.name + extra
        watched = Watched(
            camera,
            stream,
            stream_subject(camera, stream, extra, len(streams)),
            stream_anchor(camera, stream, extra, len(streams)),
            {**about(camera), "stream": stream.key, "camera": named, "subject": f"Camera {named}",
             "client": stream.dst},
            About(stream=stream.key, camera=camera.address),
            self._events.get(stream.key, Events()),
            facts,
        )  # fmt: skip
        still = list(freezes.frozen(watched))
        yield from still
        if any(seen.last_ns >= facts.now_ns for seen in still):
            return  # a frozen stream has no other findings
        seen = list(loss.lost(watched))
        yield from seen or loss.lost_behind(watched)
        yield from freezes.restarted(watched)
        if row.end or stream.paused or stream.superseded:
            return
        if media in ("video", None) and row.transport == TCP:
            yield from loss.dropped_by_camera(watched, self._memory)
        if media != "video" or row.encrypted:
            return
        off_clock = self._clocks.runs_wrong(watched)
        if not off_clock:  # else pictures come as they are made, and their stamps say otherwise
            yield from pace.uneven(watched)
            yield from pace.slow(watched)
            yield from pace.fast(watched)
        yield from shape.key_frames(watched)
        yield from shape.heavy(watched)
        yield from stamps.wrong(watched, self._memory, off_clock)


def _too_much(load: dict[str, float], facts: Facts) -> Iterable[Observation]:
    """All streams of a port together."""
    for port, rate in load.items():
        record = next((p for p in facts.port_records if p.name == port), None)
        speed = record.speed_mbps if record and not record.link_is_ours else None
        if rate > LIMITS.port_share * (speed or 1000) * 1e6:
            yield Observation(
                "stream-bitrate", port,
                {"subject": f"All streams of {port} together", "port": port,
                 "detail": f"{rate_text(rate)}, more than 70 % of the port"},
            )  # fmt: skip
