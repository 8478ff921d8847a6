"""A recording as minutes, for learning habits and for comparing with them."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct, field

from panotui.model import SECOND
from panotui.model.baseline import CameraMinute, Minute
from panotui.recording.reader import Recording
from panotui.state.habits import endpoint_of, peer_of


class _Stream(Struct):
    """Samples of one stream in one minute."""

    camera: str
    rates: list[float] = field(default_factory=list)
    rate_of_frames: list[float] = field(default_factory=list)
    rate_of_keys: list[float] = field(default_factory=list)
    packets: int = 0
    lost: int = 0


class _Contacts(Struct):
    """Connections that began in one minute."""

    endpoints: dict[str, float | None] = field(default_factory=dict)
    peers: dict[str, None] = field(default_factory=dict)


_COLUMNS = ("camera", "rate_bps", "packets", "lost", "frames_s", "keyframes_s", "session")


def minutes(recording: Recording) -> Iterator[Minute]:
    """Each minute in which the recorder ran, in order of time."""
    contacts = _contacts(recording)
    readers = _readers(recording)
    for minute, streams in _by_minute(recording):
        parts: dict[str, list[_Stream]] = {}
        for stream in streams:
            if stream.rates:
                parts.setdefault(stream.camera, []).append(stream)
        seen = contacts.get(minute, _Contacts())
        yield Minute(
            time_s=minute * 60,
            cameras={name: _camera(some, readers.get(name, ())) for name, some in parts.items()},
            endpoints=seen.endpoints,
            peers=tuple(seen.peers),
        )


def _by_minute(recording: Recording) -> Iterator[tuple[int, list[_Stream]]]:
    rows = iter(recording.samples("stream_sample", _COLUMNS))
    row = next(rows, None)
    totals: dict[tuple[int, str], tuple[int, int]] = {}
    for minute in _minutes_recorded(recording):
        streams: dict[tuple[int, str], _Stream] = {}
        while row is not None and row[0] // 60 <= minute:
            time_s, name, camera, rate, packets, lost, frames, keys, session = row
            row = next(rows, None)
            key = (session, name)
            before = totals.get(key)
            totals[key] = (packets or 0, lost or 0)
            if time_s // 60 < minute:
                continue
            stream = streams.setdefault(key, _Stream(camera or name))
            if rate:
                stream.rates.append(rate)
            if frames is not None:
                stream.rate_of_frames.append(frames)
            if keys is not None:
                stream.rate_of_keys.append(keys)
            if before is not None:
                stream.packets += max(0, totals[key][0] - before[0])
                stream.lost += max(0, totals[key][1] - before[1])
        yield minute, list(streams.values())


def _minutes_recorded(recording: Recording) -> Iterator[int]:
    """Numbers of whole minutes in which the recorder ran."""
    gaps = [(begin // SECOND, end // SECOND) for begin, end in recording.gaps()]
    first = -(-recording.start_ns // (60 * SECOND))
    last = recording.end_ns // (60 * SECOND)
    for minute in range(first, last):
        begin, end = minute * 60, minute * 60 + 60
        if not any(since < end and until > begin for since, until in gaps):
            yield minute


def _camera(streams: list[_Stream], readers: tuple[str, ...]) -> CameraMinute:
    frames = [_mean(s.rate_of_frames) for s in streams if any(s.rate_of_frames)]
    keys = [_mean(s.rate_of_keys) for s in streams if any(s.rate_of_keys)]
    packets, lost = sum(s.packets for s in streams), sum(s.lost for s in streams)
    return CameraMinute(
        rate_bps=sum(_mean(s.rates) for s in streams),
        fps=max(frames) if frames else None,
        gop_s=1 / max(keys) if keys else None,
        loss=lost / (packets + lost) if packets else None,
        readers=readers,
    )


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _readers(recording: Recording) -> dict[str, tuple[str, ...]]:
    found: dict[str, dict[str, None]] = {}
    for stream in recording.final().streams:
        found.setdefault(stream.camera or stream.src, {})[stream.dst] = None
    return {name: tuple(sorted(hosts)) for name, hosts in found.items()}


def _contacts(recording: Recording) -> dict[int, _Contacts]:
    """By minute."""
    found: dict[int, _Contacts] = {}
    for flow in recording.all_flows():
        name, peer = endpoint_of(flow), peer_of(flow)
        if name is None and peer is None:
            continue
        minute = found.setdefault(flow.first_time_ns // (60 * SECOND), _Contacts())
        if name is not None:
            known = minute.endpoints.get(name)
            minute.endpoints[name] = flow.rtt_ms if flow.rtt_ms is not None else known
        if peer is not None:
            minute.peers[peer] = None
    return found
