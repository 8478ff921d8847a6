"""Findings about how RTSP sessions end: time-outs, keep-alives, reboots, no querier."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable

from panotui.diagnosis.cameras import about, subject_of
from panotui.diagnosis.facts import Facts, Observation, Rule, evidence
from panotui.model import (
    SECOND,
    AnyMessage,
    ArpMessage,
    DhcpMessage,
    EvidenceRecord,
    LinkControlMessage,
    RtspEnd,
)
from panotui.site.facts import Who
from panotui.state.camera import Camera, Session
from panotui.state.connects import recent
from panotui.state.streams import FROZEN_S

REBOOT_NS = 60 * SECOND


QUERIER_S = (180.0, 320.0)


# A camera ends a session when its time-out is over, never before, and some look only now and then.
EXPIRES_S = (-1.0, 5.0)


class SessionEndRule(Rule):
    """rtsp-timeout, rtsp-keepalive, camera-reboot, multicast-no-querier."""

    hears = frozenset((RtspEnd, ArpMessage, DhcpMessage, LinkControlMessage))

    def __init__(self) -> None:
        self._ends: OrderedDict[str, deque[tuple[RtspEnd, Session, str]]] = OrderedDict()
        self._awake: OrderedDict[str, deque[tuple[int, int, str]]] = OrderedDict()
        # with what ended: the connection, or the media before it
        self._timeouts: OrderedDict[str, tuple[RtspEnd, Session, EvidenceRecord]] = OrderedDict()
        self._cut: OrderedDict[str, tuple[int, RtspEnd, Session]] = OrderedDict()  # by the camera
        self._query_ns = 0
        self._reports: OrderedDict[str, tuple[int, int]] = OrderedDict()

    def observe(self, message: AnyMessage, facts: Facts) -> None:
        if isinstance(message, RtspEnd):
            found = facts.cameras.session_of(facts.meter, message.session)
            if found is not None:
                self._ended(facts, message, *found)
        elif isinstance(message, ArpMessage) and message.sender_ip == message.target_ip:
            self._wake(message.sender_ip, message.time_ns, message.packet, "ARP announcement")
        elif isinstance(message, DhcpMessage) and message.type == "discover":
            camera = next(
                (c for c in facts.cameras.cameras.values() if c.mac == message.client_mac), None
            )
            if camera is not None:
                self._wake(camera.address, message.time_ns, message.packet, "DHCP DISCOVER")
        elif isinstance(message, LinkControlMessage):
            if message.protocol == "igmp-query":
                self._query_ns = message.time_ns
            elif message.protocol == "igmp-report" and message.group:
                self._reports[message.group] = (message.time_ns, message.packet)
                while len(self._reports) > 256:
                    self._reports.popitem(last=False)

    def _wake(self, address: str, time_ns: int, packet: int, text: str) -> None:
        self._awake.setdefault(address, deque(maxlen=8)).append((time_ns, packet, text))
        while len(self._awake) > 512:
            self._awake.popitem(last=False)

    def _ended(self, facts: Facts, message: RtspEnd, camera: Camera, session: Session) -> None:
        ends = self._ends.setdefault(camera.address, deque(maxlen=16))
        ends.append((message, session, camera.address))
        while len(self._ends) > 256:
            self._ends.popitem(last=False)
        if not session.play_ns:
            return
        kept = max(message.last_keepalive_ns, session.last_keepalive_ns)
        if message.how in ("fin-client", "rst-client"):
            # A reader that gives up what has stopped: was it stopped at the time-out?
            stopped = self._media_stopped(facts, message, camera, session, kept)
            if stopped is not None:
                self._expired(camera.address, message, session, stopped)
        elif message.how in ("fin-server", "rst-server"):
            late = (message.time_ns - kept) / SECOND - message.timeout_s
            if kept and abs(late) <= 5:
                closed = evidence(message.time_ns, message.packet, f"ended by {message.how}")
                self._expired(camera.address, message, session, closed)
            elif session.ended == message.how:
                self._cut[camera.address] = (facts.meter, message, session)
                while len(self._cut) > 256:
                    self._cut.popitem(last=False)

    def _expired(
        self, address: str, message: RtspEnd, session: Session, seen: EvidenceRecord
    ) -> None:
        self._timeouts[address] = (message, session, seen)
        while len(self._timeouts) > 256:
            self._timeouts.popitem(last=False)

    @staticmethod
    def _media_stopped(
        facts: Facts, message: RtspEnd, camera: Camera, session: Session, kept: int
    ) -> EvidenceRecord | None:
        """The last packet of a session's media, if they ended when the session's time was over."""
        if not kept or session.ended == "teardown":
            return None
        media = [
            s
            for s in facts.camera_streams.get(camera.address, [])
            if s.meter == facts.meter and s.row.session == message.session
        ]
        if not media or any(s.paused for s in media):
            return None
        last = max(media, key=lambda s: s.row.last_ns).row
        late = (last.last_ns - kept) / SECOND - message.timeout_s
        silent = (message.time_ns - last.last_ns) / SECOND
        if not EXPIRES_S[0] <= late <= EXPIRES_S[1] or silent <= FROZEN_S:
            return None
        return evidence(last.last_ns, last.last_packet, "last RTP packet")

    def tick(self, facts: Facts) -> list[Observation]:
        out: list[Observation] = []
        now = facts.now_ns
        for address, (message, session, ended) in self._timeouts.items():
            camera = facts.cameras.get(address)
            if camera is None or not recent(message.time_ns, now, 300):
                continue
            # the reader's only keep-alive were RTCP reports, and the camera did not count them
            by_reports = message.keepalive_by == "rtcp"
            out.append(
                Observation(
                    "rtsp-keepalive" if by_reports else "rtsp-timeout",
                    subject_of(camera),
                    {
                        **about(camera, facts),
                        "timeout": str(message.timeout_s),
                        "client": session.client,
                        "detail": ": no keep-alive reached it",
                    },
                    (
                        evidence(session.last_keepalive_ns, 0, "last keep-alive"),
                        ended,
                    ),
                    ended.time_ns,
                    message.time_ns,
                    camera=address,
                )
            )
        for address, awake in self._awake.items():
            out.extend(self._reboot(address, awake, facts))
        told = {o.camera for o in out if o.id == "camera-reboot"}
        for address, cut in self._cut.items():
            if address not in told:
                out.extend(self._served_anew(address, *cut, facts))
        out.extend(self._querier(facts))
        return out

    def _reboot(
        self, address: str, awake: deque[tuple[int, int, str]], facts: Facts
    ) -> Iterable[Observation]:
        camera = facts.cameras.get(address)
        if camera is None or not recent(awake[-1][0], facts.now_ns, 600):
            return
        woke = awake[-1][0]
        ends = [
            m for m, _, _ in self._ends.get(address, ())
            if 0 <= woke - m.time_ns <= REBOOT_NS * 3 and m.how != "teardown"
        ]  # fmt: skip
        silent = [
            s
            for s in facts.camera_streams.get(address, [])
            if 2 * SECOND < woke - s.row.last_ns < REBOOT_NS * 3
        ]
        if not ends and not silent:
            return
        yield Observation(
            "camera-reboot", subject_of(camera),
            {**about(camera, facts),
             "detail": f"its sessions dropped, then {awake[-1][2]}"},
            tuple(evidence(t, p, text) for t, p, text in awake), woke, woke,
            camera=address,
        )  # fmt: skip

    @staticmethod
    def _served_anew(
        address: str, meter: int, end: RtspEnd, session: Session, facts: Facts
    ) -> Iterable[Observation]:
        """A camera that cut the sessions that it was playing, and soon played new ones."""
        camera = facts.cameras.get(address)
        if camera is None or not recent(end.time_ns, facts.now_ns, 300):
            return
        later = [s for s in camera.sessions.values() if 0 < s.play_ns - end.time_ns < 3 * REBOOT_NS]
        # media over UDP may outlive their connection, and another reader's may go on
        went_on = any(
            s.row.first_ns < end.time_ns < s.row.last_ns - 2 * SECOND
            for s in facts.camera_streams.get(address, [])
        )
        if not later or went_on:
            return
        again = min(later, key=lambda s: s.play_ns)
        yield Observation(
            "camera-reboot", subject_of(camera),
            {**about(camera, facts), "detail": "it cut its sessions, then served new ones"},
            (
                evidence(end.time_ns, end.packet, f"session ended by {end.how}"),
                evidence(again.play_ns, again.play_packet, "200 to a new PLAY"),
            ),
            end.time_ns, again.play_ns, "possible", camera=address,
        )  # fmt: skip

    def _querier(self, facts: Facts) -> Iterable[Observation]:
        for address, streams in facts.camera_streams.items():
            for stream in streams:
                group = stream.dst
                if not facts.view.who(group) & Who.MULTICAST or group not in self._reports:
                    continue
                reported, packet = self._reports[group]
                last = stream.row.last_ns
                stopped = facts.now_ns - last > 5 * SECOND
                after = (last - reported) / SECOND
                queried = self._query_ns and last - self._query_ns < 300 * SECOND
                if not stopped or queried or not QUERIER_S[0] < after < QUERIER_S[1]:
                    continue
                yield Observation(
                    "multicast-no-querier", group,
                    {"group": group, "seconds": f"{after:.0f}", "port": stream.port or "",
                     "stream": stream.key},
                    (
                        evidence(reported, packet, "last membership report"),
                        evidence(last, stream.row.last_packet, "last RTP packet"),
                    ),
                    last, last, stream=stream.key, camera=address,
                )  # fmt: skip
