"""camera-reboot: recognised by signs that only a reboot has.

They are: an ARP announcement or a DHCP DISCOVER after its sessions dropped, a stream clock that
restarted between two sessions, or several sessions that it ends at once and serves again. The end
of a single session is handled by `sessions`.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Iterable

from msgspec import Struct

from panotui.diagnosis.cameras.words import about, anchor_of, subject_of
from panotui.diagnosis.facts import Facts, Observation, Rule, clock_text, evidence
from panotui.diagnosis.thresholds import thresholds
from panotui.model import SECOND, AnyMessage, ArpMessage, DhcpMessage, StreamRow
from panotui.model.quantities import listed, span
from panotui.state.camera import Camera
from panotui.state.camera_session import Session
from panotui.state.connects import recent
from panotui.state.streams import StreamState, media_of

LIMITS = thresholds().cameras.reboots


class _Wake(Struct, frozen=True):
    time_ns: int
    packet: int
    text: str
    mac: str


class RebootRule(Rule):
    """See the module."""

    of_cameras = True
    hears = frozenset((ArpMessage, DhcpMessage))

    def __init__(self) -> None:
        self._awake: OrderedDict[str, deque[_Wake]] = OrderedDict()

    def observe(self, message: AnyMessage, facts: Facts) -> None:
        if isinstance(message, ArpMessage) and message.sender_ip == message.target_ip:
            said = "ARP announcement"
            wake = _Wake(message.time_ns, message.packet, said, message.sender_mac)
            self._wake(message.sender_ip, wake)
        elif isinstance(message, DhcpMessage) and message.type == "discover":
            camera = next(
                (c for c in facts.cameras.cameras.values() if c.mac == message.client_mac), None
            )
            if camera is not None:
                said = "DHCP DISCOVER"
                wake = _Wake(message.time_ns, message.packet, said, message.client_mac)
                self._wake(camera.address, wake)

    def _wake(self, address: str, wake: _Wake) -> None:
        self._awake.setdefault(address, deque(maxlen=8)).append(wake)
        while len(self._awake) > 512:
            self._awake.popitem(last=False)

    def tick(self, facts: Facts) -> list[Observation]:
        out: list[Observation] = []
        for camera in facts.cameras.cameras.values():
            found = list(self._woke(camera, facts))
            found = found or list(_began_anew(camera, facts)) or list(_forgot(camera, facts))
            out.extend(found or _all_at_once(camera, facts))
        out.extend(_together(out, facts))
        return out

    def _woke(self, camera: Camera, facts: Facts) -> Iterable[Observation]:
        awake = self._awake.get(camera.address)
        if not awake or not recent(awake[-1].time_ns, facts.now_ns, LIMITS.woke_s):
            return
        woke = awake[-1].time_ns
        if facts.claims.newcomer(camera.address, awake[-1].mac, woke):
            return  # another device has taken its place
        ended = [
            s
            for s in camera.sessions.values()
            if s.ended and s.ended != "teardown" and not s.let_go_ns
            and 0 <= woke - s.ended_ns <= LIMITS.reboot_ns
        ]  # fmt: skip
        silent = [
            s
            for s in facts.camera_streams.get(camera.address, [])
            if LIMITS.stopped_ns < woke - s.row.last_ns < LIMITS.reboot_ns
            and s.dst != camera.address
        ]
        if not ended and not silent:
            return
        ends = [s.ended_ns for s in ended] + [s.row.last_ns for s in silent]
        dropped = min(ends)
        yield Observation(
            "camera-reboot", subject_of(camera),
            {**about(camera), "detail": f"its sessions dropped, then {awake[-1].text}"},
            tuple(evidence(w.time_ns, w.packet, w.text) for w in awake), dropped, woke,
        camera=camera.address, covers=_while_it_starts(camera, max(ends)),
        )  # fmt: skip


def _stopped_ns(camera: Camera, back_ns: int, facts: Facts) -> int:
    """When its pictures ended before it came back."""
    own = [
        s.row.last_ns
        for s in facts.camera_streams.get(camera.address, [])
        if s.dst != camera.address and s.row.last_ns < back_ns - LIMITS.stopped_ns
    ]
    return max(own, default=0)


def _together(seen: list[Observation], facts: Facts) -> Iterable[Observation]:
    """Cameras of one port that went off in the same moment and have started again."""
    if len(seen) < 2:
        return
    restarted: list[tuple[int, Camera, Observation]] = []
    for one in seen:
        camera = facts.cameras.get(one.camera or "")
        stopped = _stopped_ns(camera, one.last_ns, facts) if camera is not None else 0
        if camera is not None and stopped:
            restarted.append((stopped, camera, one))
    restarted.sort(key=lambda r: r[0])
    for port in dict.fromkeys(camera.port for _, camera, _ in restarted):
        own = [r for r in restarted if r[1].port == port]
        last = own[-1][0]
        own = [r for r in own if last - r[0] <= LIMITS.together_ns]
        if len(own) < 2:
            continue
        names = sorted(camera.name for _, camera, _ in own)
        where = port or "the reader"
        yield Observation(
            "camera-reboot", f"cameras behind {where}", {**about(own[0][1]), "detail": ""},
            tuple(one.evidence[-1] for _, _, one in own[:8] if one.evidence),
            own[0][0], max(one.last_ns for _, _, one in own),
            text=f"{listed(names)} went off in the same second, at {clock_text(own[0][0])}, and"
            " have started again",
            action="Look for what these cameras share: a PoE switch, its power budget, its uplink",
            covers=(
                f"cameras-silent|cameras behind {where}",
                *(f"camera-reboot|{anchor_of(camera)}" for _, camera, _ in own),
            ),
            weight=float(len(names)),
        )  # fmt: skip


def _while_it_starts(camera: Camera, off_ns: int) -> tuple[str, ...]:
    """A starting camera has its address before its server listens; its pictures stopped, and its
    sessions were closed. Its port that refused since `off_ns` was locked to nobody, unless a
    refusal of RTSP followed.
    """
    follows = ["camera-refused", "rtsp-closed", "stream-frozen"]
    told_since = any(
        r.client == camera.reset_client and r.time_ns > off_ns for r in camera.refusals
    )
    if camera.reset_first_ns >= off_ns and not told_since:
        follows.append("rtsp-lockout")
    return tuple(f"{kind}|{anchor_of(camera)}" for kind in follows)


def _began_anew(camera: Camera, facts: Facts) -> Iterable[Observation]:
    """The clock of its streams shows that it was off between two sessions.

    Many cameras stamp by the time since their start, and one without a time server reports by a
    clock that restarts with each start. If the camera stayed on, both clocks continued.
    """
    pair = _interrupted(camera, facts)
    if pair is None:
        return
    old, new = pair[0].row, pair[1].row
    off_s = (new.first_ns - old.last_ns) / SECOND
    clock = new.clock_rate or 90_000
    before_s, after_s = old.stamp_first / clock, new.stamp_first / clock
    drift = (new.stamp_first - old.stamp_first) / clock - (new.first_ns - old.first_ns) / SECOND
    around = (1 << 32) / clock
    went_on = abs((drift + around / 2) % around - around / 2) <= LIMITS.went_on_s
    back_s = old.camera_clock_offset_s - new.camera_clock_offset_s
    if went_on:
        return
    if after_s < off_s and before_s > LIMITS.up_s + after_s:
        said = f"the time stamps of its stream started over {after_s:.0f} s before they were seen"
    elif math.isfinite(back_s) and back_s > LIMITS.clock_back_s:
        said = f"its clock went back by {span(back_s)} while it was silent"
    else:
        return
    yield Observation(
        "camera-reboot", subject_of(camera), {**about(camera), "detail": said},
        (
            evidence(old.last_ns, old.last_packet, "last packet before"),
            evidence(new.first_ns, new.first_packet, "first packet after"),
        ),
        old.last_ns, new.first_ns, "possible",
        camera=camera.address, covers=_while_it_starts(camera, old.last_ns),
    )  # fmt: skip


def _interrupted(camera: Camera, facts: Facts) -> tuple[StreamState, StreamState] | None:
    """The newest picture, and the one before it that ended while its reader wanted it."""
    shown = sorted(
        (
            s
            for s in facts.camera_streams.get(camera.address, [])
            if s.dst != camera.address and s.row.session >= 0
            and media_of(s.codec) in ("video", None)
        ),
        key=lambda s: s.row.first_ns,
    )  # fmt: skip
    if len(shown) < 2 or not recent(shown[-1].row.first_ns, facts.now_ns, LIMITS.told_s):
        return None
    new = shown[-1]
    for old in reversed(shown[:-1]):
        off_ns = new.row.first_ns - old.row.last_ns
        session = camera.sessions.get(f"{old.meter}-{old.row.session}")
        if (
            not LIMITS.stopped_ns < off_ns < LIMITS.off_ns
            or old.row.clock_rate != new.row.clock_rate
        ):
            continue
        if old.row.session == new.row.session or session is None or session.torn_down_ns:
            continue
        if session.let_go_ns and session.let_go_ns - old.row.last_ns < LIMITS.stopped_ns:
            continue  # it stopped on its reader's request
        return old, new
    return None


def _forgot(camera: Camera, facts: Facts) -> Iterable[Observation]:
    """After a silence it no longer knows a connection that carried its picture."""
    for session in reversed(camera.sessions.values()):
        if session.ended != "rst-server" or not recent(
            session.ended_ns, facts.now_ns, LIMITS.told_s
        ):
            continue
        last = _last_picture(camera, session, facts)
        if last is None or not session.play_ns:
            continue
        off_ns = session.ended_ns - max(last.last_ns, session.answered_ns)
        if LIMITS.stopped_ns < off_ns < LIMITS.off_ns and not session.let_go_ns:
            yield Observation(
                "camera-reboot", subject_of(camera),
                {**about(camera), "detail": "after a silence of "
                 f"{off_ns / SECOND:.0f} s it no longer knows its connection"},
                (
                    evidence(last.last_ns, last.last_packet, "last packet before"),
                    evidence(session.ended_ns, session.ended_packet, "RST of the camera"),
                ),
                last.last_ns, session.ended_ns, "possible",
        camera=camera.address, covers=_while_it_starts(camera, last.last_ns),
            )  # fmt: skip
            return


def _last_picture(camera: Camera, session: Session, facts: Facts) -> StreamRow | None:
    own = [
        s.row
        for s in facts.camera_streams.get(camera.address, [])
        if f"{s.meter}-{s.row.session}" == session.key and s.dst != camera.address
    ]
    return max(own, key=lambda row: row.last_ns, default=None)


def stopped_before(camera: Camera, session: Session, facts: Facts) -> bool:
    """The camera was silent for long before its connection ended: it stopped earlier."""
    last = _last_picture(camera, session, facts)
    return last is not None and session.ended_ns - last.last_ns > LIMITS.long_ns


def cut_by_camera(session: Session) -> bool:
    """The camera ended a connection that played, without a request of its reader."""
    return bool(
        session.play_ns
        and session.ended in ("fin-server", "rst-server", "teardown-server")
        and not session.let_go_ns
    )


def _all_at_once(camera: Camera, facts: Facts) -> Iterable[Observation]:
    """It cut all its playing sessions at once, and soon played new ones."""
    cut = [s for s in camera.sessions.values() if cut_by_camera(s)]
    if len(cut) < 2:
        return
    last = max(s.ended_ns for s in cut)
    together = [s for s in cut if last - s.ended_ns <= LIMITS.together_ns]
    # this must not be the time at which each session times out
    apart = len({round(s.play_ns / SECOND) for s in together}) > 1
    went_on = any(
        s.play_ns and s.play_ns < last and (not s.ended or s.ended_ns > last + LIMITS.together_ns)
        for s in camera.sessions.values()
    )
    later = [s for s in camera.sessions.values() if 0 < s.play_ns - last < LIMITS.reboot_ns]
    if len(together) < 2 or not apart or went_on or not later:
        return
    if not recent(last, facts.now_ns, LIMITS.cut_s):
        return
    again = min(later, key=lambda s: s.play_ns)
    yield Observation(
        "camera-reboot", subject_of(camera),
        {**about(camera), "detail": f"it ended its {len(together)} sessions at once, then served "
                                    "new ones"},
        (
            *(evidence(s.ended_ns, s.ended_packet, f"session {s.ending}")
              for s in together[:4]),
            evidence(again.play_ns, again.play_packet, "200 to a new PLAY"),
        ),
        last, again.play_ns, "possible",
        camera=camera.address, covers=_while_it_starts(camera, last),
    )  # fmt: skip
