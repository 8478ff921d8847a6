"""What a camera refuses, to whom and at which step; and whether the refusal still stands.

A refusal belongs to a client, a method and a track. It is over when the same client gets as far or
farther. A refusal that is over within two seconds is not reported (an empty user name first, Digest
algorithms in turn, a stale nonce). Bounded.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct, field

from panotui.model import EvidenceRecord, RtspMessage
from panotui.state.camera_session import RUNGS, Asked, Session
from panotui.state.thresholds import thresholds

REFUSALS_MAX = 64  # a camera
LIMITS = thresholds().camera_refusals


class Refusal(Struct):
    """A refusal to one client at one step, until it gets farther."""

    client: str
    method: str
    media: str  # of a SETUP
    url: str
    path: str  # of the presentation
    session: str  # key of the newest connection
    status: int
    reason: str
    first_ns: int
    time_ns: int
    packet: int
    transport: str | None = None
    by_http: bool = False  # a web server answers where RTSP was expected
    location: str | None = None  # target of a redirect
    challenge: bool = False  # 401 without credentials: part of a login
    offered: tuple[str, ...] = ()  # by a 401: "Digest", "Digest SHA-256", "Basic"
    times: int = 1
    seen: deque[EvidenceRecord] = field(default_factory=lambda: deque(maxlen=8))
    stale: bool = False  # the login is rejected as out of date, again and again


class Wrong(Struct):
    """The refused passwords of one client since its last success."""

    times: int
    first_ns: int
    last_ns: int
    seen: deque[EvidenceRecord] = field(default_factory=lambda: deque(maxlen=4))


class Refusals:
    """The refusals of one camera."""

    def __init__(self) -> None:
        self._found: OrderedDict[tuple[str, str, str], Refusal] = OrderedDict()
        self.wrong: OrderedDict[str, Wrong] = OrderedDict()  # refused passwords by client
        self.took: OrderedDict[str, int] = OrderedDict()  # when a client's password was accepted
        self._stale: OrderedDict[str, int] = OrderedDict()  # 401 "stale" in a row, by client
        self._challenged: OrderedDict[str, EvidenceRecord] = OrderedDict()  # the previous 401

    def __iter__(self) -> Iterator[Refusal]:
        return iter(self._found.values())

    def take(self, session: Session, asked: Asked, message: RtspMessage) -> None:
        """Process one answer of the camera to a client."""
        if asked.method not in RUNGS:
            return
        if 200 <= asked.status < 300:
            self._got(session, asked)
        elif asked.status >= 300:
            self._refused(session, asked, message)

    def tried(self, client: str) -> None:
        """A client answers a challenge: the login continues."""
        for key in [k for k, r in self._found.items() if r.client == client and r.challenge]:
            self._challenged[client] = self._found.pop(key).seen[-1]
        while len(self._challenged) > REFUSALS_MAX:
            self._challenged.popitem(last=False)

    def followed(self, client: str, before_ns: int) -> None:
        """A client plays from the target of a redirect, so the redirect is no refusal."""
        for key in [
            k for k, r in self._found.items()
            if r.client == client and r.location and r.time_ns <= before_ns
        ]:  # fmt: skip
            del self._found[key]

    def _refused(self, session: Session, asked: Asked, message: RtspMessage) -> None:
        client = session.client
        stale = asked.status == 401 and bool(session.auth_sent) and message.stale
        if stale:
            self._stale[client] = self._stale.get(client, 0) + 1
            while len(self._stale) > REFUSALS_MAX:
                self._stale.popitem(last=False)
        stale = stale and self._stale[client] >= LIMITS.stale_times
        challenge = (
            asked.status == 401
            and not stale
            and (not session.auth_sent or message.stale)
            and message.carrier != "http"
        )
        if asked.method == "OPTIONS" and (session.play_ns or asked.within):
            return  # a keep-alive: part of the session only, also if PLAY was before the capture
        if asked.method == "SETUP" and asked.url in session.set_up and not challenge:
            return  # requested a second time, in vain
        wrong = asked.status == 401 and not challenge and not stale
        if wrong:
            now_ns = asked.answered_ns
            known_wrong = self.wrong.setdefault(client, Wrong(0, now_ns, now_ns))
            known_wrong.times, known_wrong.last_ns = known_wrong.times + 1, now_ns
            while len(self.wrong) > REFUSALS_MAX:
                self.wrong.popitem(last=False)
        path = _path(asked, session)
        key = (client, asked.method, asked.url if asked.method == "SETUP" else path)
        old = self._found.pop(key, None)
        if old is not None and (old.status, old.challenge) == (asked.status, challenge):
            known = old
            known.times += 1
            known.time_ns, known.packet, known.session = (
                asked.answered_ns, asked.answer_packet, session.key,
            )  # fmt: skip
        else:
            known = Refusal(
                client, asked.method, asked.media, asked.url, path, session.key, asked.status,
                asked.reason, asked.answered_ns, asked.answered_ns, asked.answer_packet,
                asked.transport, message.carrier == "http", message.location, challenge,
                message.auth_offered,
            )  # fmt: skip
            if old is not None and not challenge:
                known.first_ns = old.first_ns
            if wrong:
                known.times = self.wrong[client].times
            if stale:
                known.stale, known.times = True, self._stale[client]
            if (wrong or stale) and client in self._challenged:
                known.seen.append(self._challenged.pop(client))
        piece = EvidenceRecord(
            time_ns=asked.answered_ns,
            packet=asked.answer_packet or None,
            text=f"{asked.told} to {asked.method} of {client}",
        )
        known.seen.append(piece)
        if wrong:
            self.wrong[client].seen.append(piece)
        self._found[key] = known
        while len(self._found) > REFUSALS_MAX:
            self._found.popitem(last=False)

    def _got(self, session: Session, asked: Asked) -> None:
        """Success: earlier refusals of the same thing to this client are over."""
        rung, path, client = RUNGS[asked.method], _path(asked, session), session.client
        for key, refusal in list(self._found.items()):
            if refusal.client != client or RUNGS[refusal.method] > rung:
                continue
            if (
                refusal.path != path
                and refusal.session != session.key
                and asked.answered_ns - refusal.time_ns > LIMITS.settles_ns
            ):
                continue  # another stream of the same camera
            another = refusal.method == "SETUP" and refusal.url != asked.url
            if another and (rung > RUNGS["SETUP"] or refusal.media != asked.media):
                continue  # PLAY does not prove that a missing track works
            del self._found[key]
        if rung:
            self.wrong.pop(client, None)
            self._stale.pop(client, None)
            if session.auth_sent:
                self.took[client] = asked.answered_ns
                while len(self.took) > REFUSALS_MAX:
                    self.took.popitem(last=False)

    def locked_by(self, client: str, since_ns: int) -> tuple[str, Wrong] | None:
        """Whose refused passwords explain that the camera turns `client` away since `since_ns`: its
        own, or those of another client that tried often. None if there were none.
        """
        lately = {
            who: wrong
            for who, wrong in self.wrong.items()
            if 0 <= since_ns - wrong.last_ns <= LIMITS.locked_ns
        }
        if client in lately:
            return client, lately[client]
        often = [(w.times, who) for who, w in lately.items() if w.times >= LIMITS.locking_times]
        return (max(often)[1], lately[max(often)[1]]) if often else None

    def closed_to(self, client: str, since_ns: int) -> tuple[str, Wrong] | None:
        """The client's own refused passwords, just before the camera's port refused its
        connections at `since_ns`. A camera bans a host by its address: the passwords of other
        hosts do not explain a closed port. None if there were none.
        """
        wrong = self.wrong.get(client)
        if wrong is None or not 0 <= since_ns - wrong.last_ns <= LIMITS.closing_ns:
            return None
        return client, wrong

    # ------------------------------------------------------------ standing refusals

    def standing(
        self,
        sessions: Iterable[Session],
        now_ns: int,
        appliance: Iterable[str],
        final: bool,
        fed: Mapping[str, int],
    ) -> list[tuple[Refusal, str]]:
        """Refusals that are not over, each with its kind: "reader" (it prevents a picture), "other"
        (of a client that is not the appliance), "optional" (the picture plays without it).

        `fed`: clients to whom media flow in sessions from before the capture, with the last packet.
        """
        if not self._found:
            return []
        known = frozenset(appliance)
        sessions = list(sessions)
        players = {
            s.client: max(s.play_ns, s.ended_ns or now_ns)
            for s in sessions
            if s.play_ns and now_ns - (s.ended_ns or now_ns) <= LIMITS.played_lately_ns
        }
        players |= {c: t for c, t in fed.items() if now_ns - t <= LIMITS.played_lately_ns}
        out = []
        for refusal in self._found.values():
            if refusal.method == "OPTIONS" and fed.get(refusal.client, 0) > refusal.first_ns:
                continue  # a keep-alive of such a session
            if not _settled(refusal, sessions, now_ns, final):
                continue
            old = now_ns - refusal.time_ns
            client = refusal.client
            own = client in known if known else client in players or not players
            later = max((s.play_ns for s in sessions if s.client == client), default=0)
            if not own:
                whose = "other"
            elif client in players and _optional(refusal, sessions):
                whose = "optional"
            elif later > refusal.time_ns and old > LIMITS.passed_by_ns:
                continue
            else:
                whose = "reader"
            if whose == "reader" or old <= LIMITS.forgotten_ns:
                out.append((refusal, whose))
        return out


def _settled(refusal: Refusal, sessions: list[Session], now_ns: int, final: bool) -> bool:
    """True after waiting long enough for a success."""
    if refusal.challenge:
        if refusal.times > 1:
            return now_ns - refusal.first_ns >= LIMITS.unlogged_ns
        ended = any(s.key == refusal.session and s.state == "ended" for s in sessions)
        return now_ns - refusal.time_ns >= LIMITS.unlogged_ns and ended
    return final or now_ns - refusal.first_ns >= LIMITS.settles_ns


def _optional(refusal: Refusal, sessions: list[Session]) -> bool:
    """A track other than the picture was refused to a client that has a picture set up."""
    if refusal.method != "SETUP" or refusal.media == "video":
        return False
    return any(
        (s.client == refusal.client and s.play_ns and s.has_video and not s.ended)
        or (s.key == refusal.session and s.play_ns and s.has_video)
        for s in sessions
    )  # fmt: skip


def _path(asked: Asked, session: Session) -> str:
    """The presentation's URL, without the track."""
    url = asked.url.rstrip("/")
    if asked.method == "SETUP":
        base = (session.url or "").rstrip("/")
        url = base if base and url.startswith(base) else url.rpartition("/")[0]
    return url
