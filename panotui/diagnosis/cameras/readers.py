"""Readers that cannot keep up: receiver-slow."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from panotui.diagnosis.cameras.words import about, anchor_of, stream_anchor, subject_of, whose
from panotui.diagnosis.facts import Facts, Observation, evidence
from panotui.diagnosis.thresholds import thresholds
from panotui.model import APPS, SECOND, EvidenceRecord, address_text
from panotui.state.camera import Camera
from panotui.state.connects import recent

RTSP = APPS.index("rtsp")
LOOKED_AT = 16  # flows per tick
READERS_MAX = 512
_PACE = ("stream-jitter", "stream-fps", "stream-timestamps")
_ENDS = ("rtsp-keepalive", "rtsp-timeout", "rtsp-closed")
LIMITS = thresholds().cameras.readers


def _of_pace(camera: Camera, client: str, facts: Facts) -> tuple[str, ...]:
    """What is measured over many pictures and suffers from a reader that takes them too late."""
    streams = facts.camera_streams.get(camera.address, [])
    anchors = [
        stream_anchor(camera, s, whose(s, streams, facts), len(streams))
        for s in streams
        if s.dst == client
    ]
    return tuple(f"{name}|{anchor}" for anchor in anchors for name in _PACE)


def _of_ends(camera: Camera, client: str, since_ns: int) -> tuple[str, ...]:
    """The end of a session whose reader took nothing then: what it did not read or send."""
    near_ns = int(LIMITS.shut_s * SECOND)
    ended = (
        session.client == client and session.ended and abs(session.ended_ns - since_ns) <= near_ns
        for session in camera.sessions.values()
    )  # fmt: skip
    return tuple(f"{name}|{anchor_of(camera)}" for name in _ENDS) if any(ended) else ()


class SlowReaders:
    """Readers of cameras that have sent a zero window, by camera and reader."""

    def __init__(self) -> None:
        self._stuck: OrderedDict[tuple[str, str], tuple[int, int, EvidenceRecord]] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._stuck)

    def take(self, facts: Facts) -> None:
        """Store those of this tick."""
        if facts.changed is None or not facts.camera_streams:
            return
        slots, rows = facts.changed_flows()
        stuck = (
            (rows["protocol"] == 6)
            & (rows["zero_window_out"] > 0)
            & ((rows["dport"] == 554) | (rows["app"] == RTSP))
        )
        for slot in slots[stuck][:LOOKED_AT].tolist():
            row = facts.flows.rows[slot]
            version = row.version
            address = address_text(version, row.dst)
            if address not in facts.camera_streams or facts.cameras.get(address) is None:
                continue
            key = (address, address_text(version, row.src))
            count = row.zero_window_out
            known = self._stuck.get(key)
            if known is None or count > known[0]:
                seen = evidence(row.last_ns, row.last_packet, "window is zero")
                self._stuck[key] = (count, facts.now_ns, seen)
                while len(self._stuck) > READERS_MAX:
                    self._stuck.popitem(last=False)

    def of(self, camera: Camera, facts: Facts) -> Iterable[Observation]:
        """The readers of a camera that cannot keep up."""
        appliance = facts.view.facts.appliance_addresses
        for (address, client), (count, since, seen) in self._stuck.items():
            if address != camera.address or count < LIMITS.stuck_times:
                continue
            if not recent(since, facts.now_ns, LIMITS.stuck_s):
                continue
            own = facts.port_of(client)
            foreign = bool(appliance) and own is None
            # data that a reader does not accept cannot arrive
            shut = client if recent(since, facts.now_ns, LIMITS.shut_s) else ""
            yield Observation(
                "receiver-slow", subject_of(camera),
                {**about(camera), "client": f"The appliance ({own})" if own else client,
                 "count": str(count), "shut": shut},
                (seen,), since, since,
                covers=(*_of_pace(camera, client, facts), *_of_ends(camera, client, since)),
                severity="info" if foreign else None,
                camera=camera.address, key=f"{anchor_of(camera)}|{client}" if foreign else None,
            )  # fmt: skip
