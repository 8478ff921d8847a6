"""Findings about time: unusable servers, the appliance's clock, the cameras' clocks.

The clock book and RTCP reports come in, observations go out. The steps of a time server are:
requested, answered, an answer that the client can use, a synchronised server, and then a clock near
it. While one of several servers works, the others are information.
"""

from __future__ import annotations

import math
from collections import OrderedDict

from msgspec import Struct
from msgspec.structs import replace

from panotui.diagnosis.facts import Facts, Observation, Rule, day_text, evidence
from panotui.diagnosis.servers import together
from panotui.diagnosis.thresholds import thresholds
from panotui.model import (
    NEVER,
    SECOND,
    AnyMessage,
    EvidenceRecord,
    IcmpMessage,
    NtpMessage,
    RtcpReport,
)
from panotui.model.quantities import counted
from panotui.site.addresses import INTERNET, scope_of
from panotui.state.clock import LIMITS as CLOCK_LIMITS
from panotui.state.clock import Side, TimeServer
from panotui.state.connects import icmp_blocks, icmp_meaning
from panotui.state.streams import StreamState

_ADVICE = {
    "beyond": "Ask the owner of the firewall to allow UDP 123 from the appliance, or set a"
    " time server inside the site"
}
LIMITS = thresholds().clock
_MILLISECOND = SECOND // 1000
_EXPIRED = 45  # the TLS alert: certificate expired
_REFUSES = frozenset({"DENY", "RSTR"})
_NOT_YET = frozenset({"INIT", "STEP", "DROP", "RMOT", ""})
_WANTS_KEY = frozenset({"AUTH", "AUTO", "CRYP", "NKEY"})


class _Asked(Struct, frozen=True):
    """A server from the appliance's view."""

    server: TimeServer
    clients: tuple[str, ...]  # addresses of the appliance that use it
    side: Side

    @property
    def client(self) -> str:
        return self.clients[0] if self.clients else ""

    @property
    def works(self) -> bool:
        return self.server.works(self.clients or None)


class TimeRule(Rule):
    """ntp-silent, ntp-rejected, ntp-unsynced, clock-off, ntp-public."""

    hears = frozenset((NtpMessage, IcmpMessage))
    wakes = frozenset(("site",))

    def __init__(self) -> None:
        self._unreachable: OrderedDict[str, IcmpMessage] = OrderedDict()  # by server

    def observe(self, message: AnyMessage, facts: Facts) -> bool | None:
        if not isinstance(message, IcmpMessage):
            return None  # the book has it; the message only wakes the rule
        udp = message.quoted_protocol == 17 and message.quoted_dport == 123
        if not udp or not message.quoted_dst or not icmp_blocks(message):
            return False
        self._unreachable[message.quoted_dst] = message
        self._unreachable.move_to_end(message.quoted_dst)
        while len(self._unreachable) > 64:
            self._unreachable.popitem(last=False)
        return None

    def tick(self, facts: Facts) -> list[Observation]:
        asked: list[_Asked] = []
        for server in facts.clock.servers.values():
            clients = tuple(c for c in server.sides if facts.is_appliance(c))
            if clients or not server.sides:
                asked.append(_Asked(server, clients, server.side(clients or None)))
        out: list[Observation] = []
        for one in asked:
            others = [o for o in asked if o is not one and o.works]
            found = self._failing(one, others, facts) or self._differs(one, others, facts)
            out.extend([found] if found else [])
            out.extend(self._public(one, facts))
        silent = [o for o in out if o.id == "ntp-silent"]
        merged = list(together(silent, _silence_text, "ntp", _ADVICE))
        within = {key for one in merged for key in one.covers}
        out = [o if o.life_key in within else _unset(o, asked, facts) for o in (*out, *merged)]
        out.extend(self._clock(asked, facts))
        # for a public server only the time of its last request matters
        if any(o.id != "ntp-public" for o in out) or any(one.side.unanswered for one in asked):
            self.due(facts.now_ns + SECOND)
        return out

    def _failing(self, one: _Asked, others: list[_Asked], facts: Facts) -> Observation | None:
        """The server's failing step, if there is one."""
        side = one.side
        waited = bool(side.asked) and facts.now_ns - side.asked[-1][0] >= LIMITS.wait_ns
        if side.elsewhere and len(side.elsewhere_seen) >= LIMITS.rejected_answers:
            server, other = one.server.address, side.elsewhere
            seen = self._observation(
                "ntp-rejected", one, others, facts, {"count": str(side.unanswered)},
                tuple(evidence(t, p, f"answer from {other}") for t, p in side.elsewhere_seen),
                f"Set {other} as the time server, or let {server} answer from the address that it"
                " was asked at",
            )  # fmt: skip
            return replace(
                seen, text=f"Time server {server} answers from another address, {other}: no client"
                f" accepts such an answer ({side.unanswered} requests)",
            )  # fmt: skip
        if side.unanswered >= LIMITS.requests and (waited or side.unanswered > LIMITS.requests):
            seen = self._observation(
                "ntp-silent", one, others, facts,
                {"count": str(side.unanswered)},
                tuple(evidence(t, p, "request, no answer") for t, p in side.asked),
            )  # fmt: skip
            error = self._unreachable.get(one.server.address)
            return _refused(seen, error) if error and error.time_ns >= seen.first_ns else seen
        if side.rejected >= LIMITS.rejected_answers:
            return self._observation(
                "ntp-rejected", one, others, facts,
                {"count": str(side.rejected)},
                tuple(evidence(t, p, "answer that quotes another request's stamp")
                      for t, p in side.rejected_seen),
            )  # fmt: skip
        if not side.answer_ns or side.synchronised:
            return None
        detail, action = _useless(side, facts.port_of(one.client) or one.client or "the appliance")
        said = f"answer with leap {side.leap}, stratum {side.stratum}"
        if side.kiss:
            said += f", kiss code {side.kiss}"
        return self._observation(
            "ntp-unsynced", one, others, facts, {"detail": detail},
            (evidence(side.answer_ns, side.answer_packet, said),), action,
        )  # fmt: skip

    @staticmethod
    def _differs(one: _Asked, others: list[_Asked], facts: Facts) -> Observation | None:
        """A server that claims to be synchronised, but with another time than the others."""
        offset = one.side.offset_ms
        near = [o for o in others if o.side.offset_ms is not None]
        if offset is None or abs(offset) <= CLOCK_LIMITS.off_ms or not near:
            return None
        if min(abs(o.side.offset_ms or 0.0) for o in near) > CLOCK_LIMITS.off_ms:
            return None
        by = seconds_text(-offset / 1000)
        seen = evidence(one.side.answer_ns, one.side.answer_packet, f"its time differs by {by}")
        return Observation(
            "ntp-unsynced",
            one.server.address,
            {
                "server": one.server.address,
                "port": facts.port_of(one.client) or "",
                "detail": f"its time differs by {by} from the other servers'",
            },
            (seen,),
            one.side.answer_ns,
            one.side.answer_ns,
            severity="info",
            detail=tuple(f"control: {o.server.address} works" for o in near[:2]),
        )

    @staticmethod
    def _observation(
        kind: str, one: _Asked, others: list[_Asked], facts: Facts, values: dict[str, str],
        seen: tuple[EvidenceRecord, ...], action: str | None = None,
    ) -> Observation:  # fmt: skip
        first = seen[0].time_ns if seen else 0
        working = [o for o in others if _proves(o, first, facts.now_ns)]
        return Observation(
            kind,
            one.server.address,
            {
                "server": one.server.address,
                "port": facts.port_of(one.client) or "",
                **values,
            },
            seen,
            first,
            seen[-1].time_ns if seen else 0,
            detail=tuple(f"control: {o.server.address} works" for o in working[:2]),
            severity="info" if working else None,
            action=action,
        )

    @staticmethod
    def _clock(asked: list[_Asked], facts: Facts) -> list[Observation]:
        """The clock is off if the server nearest to it says so."""
        told = [o for o in asked if o.side.offset_ms is not None and o.works]
        if not told:
            return []
        one = min(told, key=lambda o: abs(o.side.offset_ms or 0.0))
        offset = one.side.offset_ms or 0.0
        if abs(offset) <= CLOCK_LIMITS.off_ms:
            return []
        at = one.side.answer_ns
        far = abs(offset) > LIMITS.tls_fails_ms
        name = facts.port_of(one.client) or one.client or "the appliance"
        return [
            Observation(
                "clock-off",
                one.client or "appliance",
                {
                    "server": one.server.address,
                    "port": facts.port_of(one.client) or "",
                    "client": name,
                    "offset": seconds_text(offset / 1000),
                },
                (evidence(at, one.side.answer_packet, f"exchange with {one.server.address}"),),
                at,
                at,
                severity="error" if far else None,
                detail=(
                    f"time server {one.server.address} answers, but the clock does not follow it",
                    *(
                        ("TLS will fail: certificates seem to be expired or not valid yet",)
                        if far
                        else ()
                    ),
                ),
            )
        ]

    def _public(self, one: _Asked, facts: Facts) -> list[Observation]:
        server, side = one.server, one.side
        local = facts.view.facts.time_servers
        elsewhere = facts.view.facts.time_servers_given and server.address not in local
        lately = (
            side.requests > 0 and facts.now_ns - (server.last_ns or facts.now_ns) < LIMITS.recent_ns
        )
        if not (elsewhere and lately and scope_of(server.address) == INTERNET):
            return []
        if server.last_ns:
            self.due_later(server.last_ns + LIMITS.recent_ns, facts)
        return [
            Observation(
                "ntp-public",
                server.address,
                {
                    "server": server.address,
                    "port": facts.port_of(one.client) or "",
                    "local": ", ".join(sorted(local)),
                },
                (evidence(server.last_ns or facts.now_ns, server.last_packet, "its newest answer"),)
                if server.last_packet
                else tuple(evidence(t, p, "request") for t, p in side.asked[-2:]),
                server.first_ns,
                server.last_ns or 0,
            )
        ]


def _unset(seen: Observation, asked: list[_Asked], facts: Facts) -> Observation:
    """Without time a wrong clock stays wrong, and every certificate looks expired: one cause."""
    if seen.id != "ntp-silent" or seen.severity is not None:
        return seen
    port = seen.values["port"]
    offs = [
        one.side.clock_off_ns
        for one in asked
        if one.side.clock_off_ns is not None and (facts.port_of(one.client) or "") == port
    ]
    off_ns = offs[-1] if offs else 0
    said = []
    if abs(off_ns) > LIMITS.tls_fails_ms * _MILLISECOND:
        said.append(
            f"the clock of {port or 'the appliance'} shows {day_text(seen.last_ns + off_ns)}"
        )
    refusing = _called_expired(port, facts)
    if refusing:
        said.append(
            f"so it calls the certificates of {counted(len(refusing), 'endpoint')} expired"
            if said
            else f"the appliance calls good certificates of {counted(len(refusing), 'endpoint')}"
            " expired: its clock is wrong"
        )
    if not said:
        return seen
    silence = seen.text or (
        f"Time server {seen.values['server']} does not answer ({seen.values['count']} requests"
        " without an answer)"
    )
    return replace(
        seen, text=f"{silence}, and {', '.join(said)}",
        evidence=(*seen.evidence[-6:], *refusing[-2:]),
        blocks=(*seen.blocks, f"clock:{port}"),
        detail=(*seen.detail, "TLS works again once the clock is set"),
    )  # fmt: skip


def _called_expired(port: str, facts: Facts) -> list[EvidenceRecord]:
    """Endpoints whose certificate the appliance calls expired, and it is not, as far as is seen;
    the alert of each."""
    found = []
    for target in facts.connects.ours():
        last = next((a for a in reversed(target.recent) if a.alert is not None), None)
        if last is None or last.alert is None or (facts.port_of(target.client) or "") != port:
            continue
        shown = last.certificate
        over = shown is not None and (shown.not_after_ns or NEVER) < last.alert.time_ns
        if last.alert.from_client and last.alert.code == _EXPIRED and not over:
            text = f"alert {_EXPIRED} to {target.server}: certificate expired"
            found.append(evidence(last.alert.time_ns, last.alert.packet, text))
    return sorted(found, key=lambda e: e.time_ns)


def _refused(seen: Observation, error: IcmpMessage) -> Observation:
    """A host on the path explains by ICMP why no answer comes."""
    server, meaning = seen.values["server"], icmp_meaning(error)
    own = error.src == server
    return replace(
        seen,
        text=f"Time server {server} cannot be reached: {error.src} says {meaning} by ICMP"
        f" ({seen.values['count']} requests without an answer)",
        action=f"Start the time service on {server} (UDP 123), or set another time server"
        if own
        else f"Change the rule on {error.src}: allow UDP 123 to {server}",
        evidence=(*seen.evidence[-7:], evidence(error.time_ns, error.packet, f"ICMP: {meaning}")),
    )


def _proves(other: _Asked, since_ns: int, now_ns: int) -> bool:
    """Another server has worked since: its newest request was answered, no longer ago than its
    polling interval.
    """
    side = other.side
    waits = bool(side.asked) and now_ns - side.asked[-1][0] < LIMITS.wait_ns
    pause = int(other.server.poll_s * SECOND)
    return side.unanswered <= waits and side.accepted_ns >= since_ns - pause


def _useless(side: Side, client: str) -> tuple[str, str | None]:
    """Why a server's answers are unusable, and the action if it is not the catalogue's."""
    kiss = side.kiss
    if kiss == "RATE":
        return (
            f"it says that {client} asks too often (RATE)",
            "Set a time server inside the site, or more of them, so that each is asked less often",
        )
    if kiss in _REFUSES:
        return (
            f"it refuses to serve {client} ({kiss})",
            f"Ask the server's owner to allow {client}, or set another time server",
        )
    if kiss in _WANTS_KEY:
        return (
            f"it requires authenticated requests ({kiss})",
            "Set another time server, or have its owner allow unauthenticated requests",
        )
    if kiss in _NOT_YET:
        said = f" ({kiss})" if kiss else ""
        return (
            f"it has no time to offer yet{said}",
            "Wait a few minutes; if nothing changes, the server's owner should check its own time"
            " source",
        )
    if kiss is not None:
        return f"it refuses with {kiss}", "Set another time server"
    if side.leap == 3:
        return "it reports that its clock is not synchronised", None
    return f"it reports that it is not synchronised (stratum {side.stratum})", None


class _CameraClock(Struct, frozen=True):
    """A camera whose clock is off, by one of its streams."""

    address: str
    name: str
    stream: StreamState
    offset_s: float


class CameraClockRule(Rule):
    """camera-clock: RTCP sender reports have another time than the capture."""

    of_cameras = True
    lasting = frozenset(("camera-clock",))
    hears = frozenset((RtcpReport,))

    def __init__(self) -> None:
        self._reports: OrderedDict[int, RtcpReport] = OrderedDict()

    def observe(self, message: AnyMessage, facts: Facts) -> None:
        if isinstance(message, RtcpReport) and message.kind == "sr" and message.ntp_ns:
            self._reports[message.stream] = message
            while len(self._reports) > 256:
                self._reports.popitem(last=False)

    def tick(self, facts: Facts) -> list[Observation]:
        off: list[_CameraClock] = []
        near = 0  # cameras whose clock is right
        for address, streams in facts.camera_streams.items():
            told = [
                s for s in streams if math.isfinite(s.row.camera_clock_offset_s) and not s.row.end
            ]
            wrong = next(
                (s for s in told if abs(_offset_s(s, facts)) > LIMITS.camera_clock_s), None
            )
            if wrong is not None:
                name = facts.camera_name(address)
                off.append(_CameraClock(address, name, wrong, _offset_s(wrong, facts)))
            near += bool(told) and wrong is None
        if len(off) > 1 and not near and _ahead_ns(facts) is None:
            offsets = [c.offset_s for c in off]
            if max(offsets) - min(offsets) <= LIMITS.camera_clock_s:
                return [self._alike(off)]
        return [
            Observation(
                "camera-clock",
                one.name,
                {"camera": one.name, "offset": seconds_text(one.offset_s)},
                self._seen(one),
                stream=one.stream.key,
                camera=one.address,
                detail=(_measured_against(facts),),
            )
            for one in off
        ]

    def _seen(self, one: _CameraClock) -> tuple[EvidenceRecord, ...]:
        report = self._reports.get(one.stream.row.id)
        if report is None:
            return ()
        return (evidence(report.time_ns, report.packet, "RTCP sender report"),)

    def _alike(self, off: list[_CameraClock]) -> Observation:
        """All cameras differ from the capture's clock alike, and nobody else tells the time."""
        by = seconds_text(sum(c.offset_s for c in off) / len(off))
        return Observation(
            "camera-clock",
            "cameras",
            {"camera": "", "offset": by},
            tuple(seen for one in off[:8] for seen in self._seen(one)),
            text=f"The clocks of {len(off)} cameras all differ from the capture's own by {by}",
            action="Check the clock of the machine that captures; if it is right, the time server"
            " of these cameras",
            covers=tuple(f"camera-clock|{one.name}" for one in off),
        )


def _ahead_ns(facts: Facts) -> float | None:
    """The appliance's and the declared time servers against the capture's clock: another host may
    ask a server that is wrong.
    """
    own = facts.view.facts.appliance_addresses
    return facts.clock.ahead_of_capture_ns(own, facts.site.network.ntp)


def _offset_s(stream: StreamState, facts: Facts) -> float:
    """A camera's clock against the nearest of those that may be right.

    Against two clocks where ours was set meanwhile, for which of them was right? And against a
    time server's, for the clock of the machine that captured may be wrong itself.
    """
    measured = stream.row.camera_clock_offset_s
    ahead = _ahead_ns(facts)
    if ahead is not None and abs(ahead) > LIMITS.camera_clock_s * SECOND:
        by_server = measured - ahead / SECOND
        return by_server if abs(measured) > LIMITS.camera_clock_s else measured
    return min((measured, measured - facts.clock_ahead_ns / SECOND), key=abs)


def _measured_against(facts: Facts) -> str:
    ahead = _ahead_ns(facts)
    if ahead is not None and abs(ahead) > LIMITS.camera_clock_s * SECOND:
        by = seconds_text(ahead / SECOND)
        return f"measured against the time servers, which differ from this machine by {by}"
    return "measured against this machine's own clock"


def seconds_text(seconds: float) -> str:
    """`+3.2 s`, `-12 min`, `-56 years` of a signed number of seconds."""
    size = abs(seconds)
    sign = "-" if seconds < 0 else "+"
    for limit, unit, name in (
        (120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h"), (63_072_000, 86_400, "days"),
    ):  # fmt: skip
        if size < limit:
            value = size / unit
            return f"{sign}{value:.1f} {name}" if value < 10 else f"{sign}{value:.0f} {name}"
    return f"{sign}{size / 31_557_600:.0f} years"


def _silence_text(servers: str, count: int) -> str:
    return f"Time servers {servers} do not answer ({count} requests without an answer)"
