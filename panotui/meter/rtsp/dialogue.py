"""The RTSP dialogue: messages in; sessions, tracks and the addresses of their media out.

A `Dialogue` follows one connection (or the two of a tunnel over HTTP): it matches answers with
requests, learns the media from DESCRIBE, the transport from the answer to SETUP, the session's
time-out and what keeps it alive. It emits `RtspMessage` and `RtspEnd`, and notifies its listener of
tracks that were set up. It is pure: no packets, no clock.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import msgspec

from panotui.model import AnyMessage, RtspEnd, RtspMessage
from panotui.wire import sdp
from panotui.wire.redaction import redact_url
from panotui.wire.rtsp import DEFAULT_TIMEOUT_S, Text, Transport, parse_transport
from panotui.wire.sdp import Format, Media
from panotui.wire.text import printable

_PENDING_MAX = 64
_TRACKS_MAX = 64
_PAST_MAX = 16
_KEEPALIVES = frozenset({"OPTIONS", "GET_PARAMETER", "SET_PARAMETER", "PLAY"})


class Track(msgspec.Struct, kw_only=True, eq=False):
    """A track negotiated by SETUP."""

    session: int  # Dialogue.session
    url: str
    control: str
    media: str  # "video", "audio", "application", "" without SDP
    formats: dict[int, Format]
    sps: bytes | None
    framerate: float | None
    width: int | None
    height: int | None
    encrypted: bool
    transport: Transport
    asked_port: tuple[int, int] | None = None  # requested by the client, whatever the answer
    client: str
    server: str
    since_ns: int
    playing: bool = False
    ended_ns: int = 0

    def declares(self, payload_type: int) -> bool:
        """Whether this payload type is one of the track's; without an SDP, any may be."""
        return not self.formats or payload_type in self.formats


class _Request(msgspec.Struct):
    method: str
    url: str
    time_ns: int
    transports: list[Transport]


class Dialogue:
    """State of one RTSP connection."""

    def __init__(
        self,
        session: int,
        client: str,
        server: str,
        server_port: int,
        flow: int,
        interface: int,
        emit: Callable[[AnyMessage], None],
        set_up: Callable[[Dialogue, Track], None],
        changed: Callable[[Dialogue], None],
    ) -> None:
        self.session = session
        self.client = client
        self.server = server
        self.server_port = server_port
        self.flow = flow
        self.interface = interface
        self.carrier = "rtsp"
        self.timeout_s = DEFAULT_TIMEOUT_S
        self.last_keepalive_ns = 0
        self.last_report_ns = 0
        self.keepalive_by = ""
        self.tracks: list[Track] = []
        # tracks whose session has ended, and when: media before that may be read after it
        self.past: list[tuple[Track, int]] = []
        self.malformed = 0
        self.strays = 0  # places where the server's bytes were neither a frame nor a message
        self._emit = emit
        self._set_up = set_up
        self._changed = changed
        self._pending: tuple[OrderedDict[int, _Request], OrderedDict[int, _Request]] = (
            OrderedDict(),
            OrderedDict(),
        )
        self._unnumbered = 0
        self._answered = False  # an answer was seen, so further answers would be seen too
        self._media: tuple[Media, ...] = ()
        self.played_ns = 0  # the last PLAY was answered
        self.paused_ns = 0  # a PAUSE was, and no PLAY since; 0 not paused
        self.over = False  # the connection has ended
        self._ended = True  # nothing set up yet, so nothing to end
        self._told = False

    def message(
        self, text: Text, body: bytes, from_client: bool, time_ns: int, number: int
    ) -> None:
        """Take one message in the order of its direction."""
        if text.method is not None:
            self._request(text, body, from_client, time_ns, number)
        else:
            self._answer(text, body, from_client, time_ns, number)

    # ------------------------------------------------------------ requests

    def _request(
        self, text: Text, body: bytes, from_client: bool, time_ns: int, number: int
    ) -> None:
        assert text.method is not None
        pending = self._pending[from_client]
        cseq = text.cseq
        if cseq is None:
            self._unnumbered -= 1
            key = self._unnumbered
        else:
            key = cseq
        transport = text.one("transport")
        alternatives = parse_transport(transport) if transport else []
        pending.pop(key, None)
        pending[key] = _Request(text.method, text.url or "", time_ns, alternatives)
        if len(pending) > _PENDING_MAX:
            pending.popitem(last=False)
        if from_client and text.method in _KEEPALIVES and self.tracks and not self._answered:
            self.kept_alive(time_ns, "request")  # a mirror without the answers
        if text.method == "ANNOUNCE":
            self._describe(text, body, text.url or "")
        self._tell(text, text.method, text.url, from_client, time_ns, number, None, body)
        if text.method == "TEARDOWN":
            how = "teardown" if from_client else "teardown-server"
            self._finish(time_ns, number, how, text.url or "")

    # ------------------------------------------------------------ answers

    def _answer(
        self, text: Text, body: bytes, from_client: bool, time_ns: int, number: int
    ) -> None:
        request = self._matching(text, from_client)
        self._answered |= not from_client
        method = request.method if request else None
        url = request.url if request else None
        response_ms = (time_ns - request.time_ns) / 1e6 if request else None
        _, timeout_s = text.session()
        if timeout_s:
            self.timeout_s = timeout_s
        ok = text.status is not None and 200 <= text.status < 300
        if ok and body and "sdp" in (text.one("content-type") or "application/sdp").lower():
            base = text.one("content-base") or text.one("content-location") or url or ""
            self._describe(text, body, base)
        if request is None and ok:
            # A mirror of one direction: the answer shows what was requested.
            method, url = self._asked(text, body)
            request = _Request(method, url, time_ns, []) if method else None
        self._tell(text, method, url, from_client, time_ns, number, response_ms, body)
        if not ok or request is None:
            return
        if method == "SETUP":
            self._track(text, request, time_ns)
        elif method in ("PLAY", "RECORD"):
            self._play(time_ns, True)
        elif method == "PAUSE":
            self._play(time_ns, False)
        if method in _KEEPALIVES and self.tracks and not from_client:
            self.kept_alive(time_ns, "request")  # a refused request keeps nothing alive

    def _matching(self, text: Text, from_client: bool) -> _Request | None:
        """The request of an answer: by CSeq, otherwise the oldest."""
        pending = self._pending[not from_client]
        cseq = text.cseq
        if cseq is not None and cseq in pending:
            return pending.pop(cseq)
        # some cameras repeat an old number, or send none: they answer in order
        return pending.popitem(last=False)[1] if pending else None

    def _asked(self, text: Text, body: bytes) -> tuple[str, str]:
        """Method and URL of a request that was not seen, derived from its answer."""
        if text.one("transport"):
            done = {track.url for track in self.tracks}
            left = [redact_url(media.url) for media in self._media]
            url = next((url for url in left if url and url not in done), "")
            return "SETUP", url
        if body:
            return "DESCRIBE", text.one("content-base") or ""
        if text.one("rtp-info") or text.one("range"):
            return "PLAY", ""
        return "", ""

    def _describe(self, text: Text, body: bytes, base: str) -> None:
        if body:
            self._media = sdp.parse(body, base).media

    def _track(self, text: Text, request: _Request, time_ns: int) -> None:
        """The answer to SETUP binds a track to its transport."""
        answered = parse_transport(text.one("transport") or "")
        asked = request.transports
        if answered:
            transport = answered[0]
        elif asked:
            transport = asked[0]
        else:
            return
        # Some servers answer a request for TCP without channels: the requested ones apply.
        wish = next((a for a in asked if a.tcp == transport.tcp), None)
        if wish is None and transport.tcp is False and asked and asked[0].tcp:
            wish = asked[0]
            transport = msgspec.structs.replace(transport, tcp=True)
        if wish is not None:
            if transport.interleaved is None and transport.tcp:
                transport = msgspec.structs.replace(transport, interleaved=wish.interleaved)
            if transport.client_port is None and not transport.tcp:
                transport = msgspec.structs.replace(transport, client_port=wish.client_port)
        media = self._media_of(request.url)
        track = Track(
            session=self.session,
            url=request.url,
            control=media.control if media else request.url.rsplit("/", 1)[-1],
            media=media.media if media else "",
            formats=dict(media.formats) if media else {},
            sps=media.sps if media else None,
            framerate=media.framerate if media else None,
            width=media.width if media else None,
            height=media.height if media else None,
            encrypted="SAVP" in transport.protocol or (media is not None and media.encrypted),
            transport=transport,
            asked_port=wish.client_port if wish is not None else None,
            client=self.client,
            server=self.server,
            since_ns=time_ns,
        )
        self.tracks = [t for t in self.tracks if t.url != track.url][-_TRACKS_MAX + 1 :]
        self.tracks.append(track)
        self._ended = False
        self.kept_alive(time_ns, self.keepalive_by)
        self._set_up(self, track)

    def _media_of(self, url: str) -> Media | None:
        """The SDP's media for a SETUP URL: the same URL, one with the same end, or the only one."""
        wanted = url.rstrip("/")
        for media in self._media:
            if redact_url(media.url).rstrip("/") == wanted:
                return media
        for media in self._media:
            control = media.control.strip("/")
            if control and control != "*" and wanted.endswith("/" + control.rsplit("/", 1)[-1]):
                return media
        if len(self._media) == 1:
            return self._media[0]
        video = [media for media in self._media if media.media == "video"]
        return video[0] if len(video) == 1 and not self.tracks else None

    def _play(self, time_ns: int, playing: bool) -> None:
        for track in self.tracks:
            track.playing = playing
        if playing:
            self.played_ns = time_ns
            self.kept_alive(time_ns, self.keepalive_by)
        self.paused_ns = 0 if playing else time_ns
        self._changed(self)

    # ------------------------------------------------------------ life

    def kept_alive(self, time_ns: int, by: str) -> None:
        """The session was kept alive by a "request" or "rtcp"."""
        self.last_keepalive_ns = max(self.last_keepalive_ns, time_ns)
        self.keepalive_by = by
        if by == "rtcp":
            self.last_report_ns = max(self.last_report_ns, time_ns)

    def _finish(self, time_ns: int, number: int, how: str, url: str) -> None:
        """TEARDOWN of one of several tracks ends only that track."""
        torn = [track for track in self.tracks if track.url.rstrip("/") == url.rstrip("/")]
        if not torn or len(torn) == len(self.tracks):
            torn = self.tracks
        for track in torn:
            track.playing = False
            track.ended_ns = time_ns
        self._pass(torn, time_ns)
        self.tracks = [track for track in self.tracks if track not in torn]
        self._changed(self)
        if not self.tracks:
            self.end(time_ns, number, how)

    def end(self, time_ns: int, number: int, how: str) -> None:
        """The connection or its session is over: reported once, until another SETUP."""
        for track in self.tracks:
            track.playing = False
            if how.startswith("teardown"):
                track.ended_ns = time_ns
        self.over = not how.startswith("teardown")
        self._pass(self.tracks, time_ns)
        self.tracks = []
        if not self._ended or not self._told:
            self._told = True
            self._emit(
                RtspEnd(
                    time_ns=time_ns,
                    packet=number,
                    interface=self.interface,
                    flow=self.flow,
                    session=self.session,
                    how=how,
                    last_keepalive_ns=self.last_keepalive_ns,
                    timeout_s=self.timeout_s,
                    keepalive_by=self.keepalive_by,
                    last_report_ns=self.last_report_ns,
                    strays=self.strays,
                )
            )
        self._ended = True
        self._changed(self)

    def _pass(self, tracks: list[Track], time_ns: int) -> None:
        self.past = [*self.past, *((track, time_ns) for track in tracks)][-_PAST_MAX:]

    def tracks_at(self, time_ns: int) -> list[Track]:
        """The tracks that were set up at a time."""
        past = [track for track, until_ns in self.past if track.since_ns <= time_ns <= until_ns]
        return past or self.tracks

    def _tell(
        self,
        text: Text,
        method: str | None,
        url: str | None,
        from_client: bool,
        time_ns: int,
        number: int,
        response_ms: float | None,
        body: bytes,
    ) -> None:
        session_id, timeout_s = text.session()
        offered, stale = text.challenges()
        description = None
        content = (text.one("content-type") or "").lower()
        if body and ("sdp" in content or (not content and body.startswith(b"v="))):
            description = sdp.parse(body, text.one("content-base") or url or "")
        server = text.one("server")
        agent = text.one("user-agent")
        setup = self._media_of(url) if method == "SETUP" and url else None
        location = text.one("location")
        self._emit(
            RtspMessage(
                time_ns=time_ns,
                packet=number,
                interface=self.interface,
                flow=self.flow,
                session=self.session,
                from_client=from_client,
                client=self.client,
                server=self.server,
                server_port=self.server_port,
                method=method,
                url=url,
                cseq=text.cseq,
                status=text.status,
                reason=text.reason,
                session_id=printable(session_id, 80) if session_id else None,
                timeout_s=timeout_s,
                transport=text.one("transport"),
                auth_sent=text.auth_sent,
                auth_offered=offered,
                stale=stale,
                user_agent=agent if text.method else None,
                server_name=server or (agent if text.method is None else None),
                tracks=tuple(media.track() for media in description.media) if description else (),
                session_name=description.session_name if description else None,
                response_ms=response_ms,
                require=text.one("require") or text.one("unsupported"),
                carrier="http" if text.version == "HTTP" else self.carrier,
                location=location,
                media=_said(setup) if setup is not None else "",
                public=_methods(text.one("public") or text.one("allow")),
            )
        )


def _said(media: Media) -> str:
    """The type of a track: over a track that the camera calls sendonly, a reader sends audio to the
    camera.
    """
    return "backchannel" if media.direction == "sendonly" else media.media


def _methods(header: str | None) -> tuple[str, ...]:
    """The methods of a Public header."""
    return tuple(word for part in (header or "").split(",")[:16] if (word := part.strip().upper()))
