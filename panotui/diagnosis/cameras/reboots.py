"""camera-reboot: told by what only a reboot does.

An ARP announcement or a DHCP DISCOVER after its sessions dropped, or several sessions that it ends
at once and serves anew. One session that ends is that session's own matter (`sessions`).
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass

from panotui.diagnosis.cameras.words import about, subject_of
from panotui.diagnosis.facts import Facts, Observation, Rule, evidence
from panotui.model import SECOND, AnyMessage, ArpMessage, DhcpMessage
from panotui.state.camera import Camera
from panotui.state.camera_session import Session
from panotui.state.connects import recent

REBOOT_NS = 180 * SECOND  # a camera is back within that
TOGETHER_NS = 2 * SECOND  # what one cause ends, ends within that
STOPPED_NS = 2 * SECOND


@dataclass(frozen=True, slots=True)
class _Wake:
    time_ns: int
    packet: int
    text: str


class RebootRule(Rule):
    """See the module's text."""

    of_cameras = True
    hears = frozenset((ArpMessage, DhcpMessage))

    def __init__(self) -> None:
        self._awake: OrderedDict[str, deque[_Wake]] = OrderedDict()

    def observe(self, message: AnyMessage, facts: Facts) -> None:
        if isinstance(message, ArpMessage) and message.sender_ip == message.target_ip:
            self._wake(message.sender_ip, message.time_ns, message.packet, "ARP announcement")
        elif isinstance(message, DhcpMessage) and message.type == "discover":
            camera = next(
                (c for c in facts.cameras.cameras.values() if c.mac == message.client_mac), None
            )
            if camera is not None:
                self._wake(camera.address, message.time_ns, message.packet, "DHCP DISCOVER")

    def _wake(self, address: str, time_ns: int, packet: int, text: str) -> None:
        self._awake.setdefault(address, deque(maxlen=8)).append(_Wake(time_ns, packet, text))
        while len(self._awake) > 512:
            self._awake.popitem(last=False)

    def tick(self, facts: Facts) -> list[Observation]:
        out: list[Observation] = []
        for camera in facts.cameras.cameras.values():
            found = list(self._woke(camera, facts))
            out.extend(found or _all_at_once(camera, facts))
        return out

    def _woke(self, camera: Camera, facts: Facts) -> Iterable[Observation]:
        awake = self._awake.get(camera.address)
        if not awake or not recent(awake[-1].time_ns, facts.now_ns, 600):
            return
        woke = awake[-1].time_ns
        ended = [
            s
            for s in camera.sessions.values()
            if s.ended and s.ended != "teardown" and not s.let_go_ns
            and 0 <= woke - s.ended_ns <= REBOOT_NS
        ]  # fmt: skip
        silent = [
            s
            for s in facts.camera_streams.get(camera.address, [])
            if STOPPED_NS < woke - s.row.last_ns < REBOOT_NS and s.dst != camera.address
        ]
        if not ended and not silent:
            return
        yield Observation(
            "camera-reboot", subject_of(camera),
            {**about(camera), "detail": f"its sessions dropped, then {awake[-1].text}"},
            tuple(evidence(w.time_ns, w.packet, w.text) for w in awake), woke, woke,
            camera=camera.address,
        )  # fmt: skip


def cut_by_camera(session: Session) -> bool:
    """The camera ended a connection that played, and its reader had not asked for that."""
    return bool(
        session.play_ns and session.ended in ("fin-server", "rst-server") and not session.let_go_ns
    )


def _all_at_once(camera: Camera, facts: Facts) -> Iterable[Observation]:
    """It cut all the sessions that it was playing in one moment, and soon played new ones."""
    cut = [s for s in camera.sessions.values() if cut_by_camera(s)]
    if len(cut) < 2:
        return
    last = max(s.ended_ns for s in cut)
    together = [s for s in cut if last - s.ended_ns <= TOGETHER_NS]
    # the same moment must not be that of each session's own time-out
    apart = len({round(s.play_ns / SECOND) for s in together}) > 1
    went_on = any(
        s.play_ns and s.play_ns < last and (not s.ended or s.ended_ns > last + TOGETHER_NS)
        for s in camera.sessions.values()
    )
    later = [s for s in camera.sessions.values() if 0 < s.play_ns - last < REBOOT_NS]
    if len(together) < 2 or not apart or went_on or not later:
        return
    if not recent(last, facts.now_ns, 300):
        return
    again = min(later, key=lambda s: s.play_ns)
    yield Observation(
        "camera-reboot", subject_of(camera),
        {**about(camera), "detail": f"it cut its {len(together)} sessions at once, then served new "
                                    "ones"},
        (
            *(evidence(s.ended_ns, s.ended_packet, f"session ended by {s.ended}")
              for s in together[:4]),
            evidence(again.play_ns, again.play_packet, "200 to a new PLAY"),
        ),
        last, again.play_ns, "possible", camera=camera.address,
    )  # fmt: skip
