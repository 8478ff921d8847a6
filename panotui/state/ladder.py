"""The ladder of a connection: how far each attempt got, and how it ended there.

A flow row and its messages come in, an `Attempt` goes out: the last step that succeeded (name, next
hop, SYN, ClientHello, the server's flight, handshake, data) and how the next one ended (silent,
refused, reset, closed, ...). Retransmissions of a SYN or a hello belong to one attempt. A
connection older than the capture has passed the steps that it must have passed. If a client gave up
before anybody could have answered, this is no failure.
"""

from __future__ import annotations

from msgspec import Struct, field

from panotui.model import (
    AnyMessage,
    AttemptRecord,
    EvidenceRecord,
    HttpMessage,
    TlsAlert,
    TlsCertificate,
    TlsClientHello,
    TlsFinished,
    TlsServerHello,
)
from panotui.model.flow_rows import FlowRow
from panotui.model.quantities import counted
from panotui.state.thresholds import thresholds

STEPS = (
    "name", "next-hop", "syn", "client-hello", "server-flight", "handshake", "data", "open",
)  # fmt: skip
NAME, NEXT_HOP, SYN, HELLO, FLIGHT, HANDSHAKE, DATA, OPEN = range(8)
LIMITS = thresholds().ladder
NEVER_CAME = 99  # place of a letter that a history does not have
_ANSWERED = frozenset((443, 8443, 8883))  # ports of TLS where each request has an answer

FAILURES = frozenset((
    "silent", "refused", "reset", "closed", "left", "alert", "http", "stalled", "icmp",
    "unanswered",
))  # fmt: skip
_WORDS = {
    NEXT_HOP: "SYN sent",
    SYN: "SYN ok",
    HELLO: "ClientHello sent",
    FLIGHT: "server answers",
    HANDSHAKE: "handshake done",
    DATA: "data flows",
}
_ENDS = {
    "silent": "nothing after",
    "refused": "refused by RST",
    "reset": "then reset by the server's side",
    "closed": "then closed by the server's side",
    "left": "then the client leaves",
    "alert": "then a TLS alert",
    "http": "then an HTTP answer",
    "stalled": "then the answer stalls",
    "icmp": "refused by ICMP",
    "unanswered": "then a request that is never answered",
    "cut-short": "cut short by the client",
    "gone": "and the client falls silent",
}


def syns(count: int) -> str:
    """`1 SYN`, `3 SYNs`."""
    return counted(count, "SYN")


class Repeats(Struct):
    """What one side has sent again since the handshake: full-size segments, or small ones too."""

    payload: int = 0  # bytes, retransmissions and segments at the last look
    again: int = 0
    segments: int = 0
    large: int = 0  # full-size segments sent again, and none of them acknowledged since
    since_ns: int = 0
    acked: bool = False  # full-size segments were acknowledged
    passes: bool = False  # they were, or small ones were lost as well

    def look(
        self, now_ns: int, payload: int, again: int, segments: int, largest: int, *, heard: bool
    ) -> None:
        """Process the counters of this side. `heard`: its last word was acknowledged, and nothing
        was missed before it.
        """
        more, repeats = payload - self.payload, again - self.again
        sent = segments - self.segments
        self.payload, self.again, self.segments = payload, again, segments
        if repeats > 0:
            if more < repeats * LIMITS.full_segment_bytes or sent != repeats:
                self.passes |= sent == repeats
                return
            self.since_ns = self.since_ns or now_ns
            self.large += repeats
        elif sent > 0 and not again and largest >= LIMITS.full_segment_bytes and heard:
            self.passes = self.acked = True
            self.large = self.since_ns = 0

    @property
    def narrow(self) -> bool:
        """Only full-size segments are sent again, and none ever came through."""
        return self.large >= LIMITS.large_again and not self.passes


class Attempt(Struct):
    """One connection and its progress."""

    key: int  # of its flow
    client: str
    server: str
    port: int
    first_ns: int
    packet: int
    older: bool = False  # than the capture
    passed: int = NEXT_HOP  # the last step that succeeded
    how: str = "waiting"  # how the next step ended
    last_ns: int = 0
    syns: int = 0
    synacks: int = 0
    rtt_ms: float | None = None
    again: int = 0  # number of retransmissions of the hello
    evidence: list[EvidenceRecord] = field(default_factory=list)
    # content of its messages
    hello: TlsClientHello | None = None
    server_hello: TlsServerHello | None = None
    certificate: TlsCertificate | None = None
    alert: TlsAlert | None = None
    http: HttpMessage | None = None
    done: bool = False
    done_ns: int = 0
    served: int = -1  # bytes of the server when the handshake was done
    proven: bool = False  # nothing that comes can show that it did not work
    counted: bool = False  # among the successes of its targets
    asked_in: int = -1  # bytes of the server when it owed an answer
    asked_out: int = 0  # bytes of the client then
    asked_ns: int = 0  # when it asked
    taken: bool = False  # the server has acknowledged the request
    doubted: bool = False  # a request was given up before an answer was overdue
    small_only: bool = False  # full-size segments are lost, small ones arrive
    # after the handshake, by the client and by the server
    sizes: tuple[Repeats, Repeats] = field(default_factory=lambda: (Repeats(), Repeats()))
    narrow_to: bool = False  # what is lost goes to the server
    due_ns: int = 0  # time at which silence is reported

    @property
    def failed(self) -> bool:
        """It ended before data."""
        return self.how in FAILURES

    @property
    def works(self) -> bool:
        """It carried data, or its handshake succeeded; and no request of it was left unanswered."""
        return self.passed >= HANDSHAKE and not self.failed

    @property
    def in_vain(self) -> bool:
        """Its handshake was done, and what came after it did not get through."""
        return self.how == "unanswered" or (self.small_only and self.passed >= HANDSHAKE)

    @property
    def distrusts(self) -> bool:
        """The client leaves right after seeing the server's certificate."""
        if self.how != "left" or self.passed != FLIGHT or self.server_hello is None:
            return False
        return self.last_ns - self.server_hello.time_ns < LIMITS.patience_ns

    @property
    def failing_step(self) -> int:
        """The first step that failed."""
        return min(self.passed + 1, OPEN)

    def words(self) -> str:
        """`SYN ok 21 ms, ClientHello sent, nothing after`."""
        parts = []
        if self.older:
            parts.append("was open before the capture")
        elif self.passed >= SYN:
            rtt = f" {self.rtt_ms:.0f} ms" if self.rtt_ms is not None else ""
            parts.append(f"SYN ok{rtt}")
            if self.hello is not None and self.passed < HANDSHAKE:
                parts.append(_WORDS[HELLO] + (f" {self.again + 1} times" if self.again else ""))
        else:
            parts.append(syns(self.syns))
        if self.passed >= FLIGHT:
            parts.append(_WORDS[min(self.passed, DATA)])
        if self.how in _ENDS:
            parts.append(self._end())
        return ", ".join(parts)

    def _end(self) -> str:
        """How it ended."""
        if self.small_only and self.passed >= HANDSHAKE:
            return f"then large packets {'to' if self.narrow_to else 'from'} it are lost"
        return _ENDS.get(self.how, self.how)

    def record(self) -> AttemptRecord:
        """The attempt as a record."""
        return AttemptRecord(
            time_ns=self.first_ns, packet=self.packet or None, address=self.server,
            passed=STEPS[self.passed], ended=self.how, text=self.words(),
        )  # fmt: skip

    def hear(self, message: AnyMessage) -> None:
        """Process a message of this connection."""
        if isinstance(message, TlsClientHello):
            self.hello = self.hello or message
        elif isinstance(message, TlsServerHello):
            self.server_hello = message
        elif isinstance(message, TlsCertificate):
            if not message.from_client:
                self.certificate = message
        elif isinstance(message, TlsAlert):
            self.alert = message
        elif isinstance(message, TlsFinished):
            self.done, self.done_ns = True, message.time_ns
            self.served = message.server_bytes
        elif isinstance(message, HttpMessage) and not message.from_client:
            self.http = message

    def climb(self, row: FlowRow, now_ns: int, tls: bool, unread: bool = False) -> None:
        """Work out how far it came. `tls`: only a handshake or its data prove success; `unread`:
        the capture cuts frames, so nobody can say what was answered.
        """
        first, last = row.first_ns, row.last_ns
        self.last_ns = last
        self.syns, self.synacks = row.syn_out, row.syn_in
        opened = row.synack_ns > 0 or row.syn_in > 0
        self.older = not self.syns and not opened
        out, back = row.payload_out, row.payload_in
        history = row.history
        self.due_ns = 0
        rtt = next((us for us in (row.server_rtt_us, row.handshake_rtt_us) if us >= 0), -1)
        if rtt >= 0:
            self.rtt_ms = rtt / 1000
        if self.older:
            self._older(row)
        elif not opened and not back:
            self._syn(row, now_ns, first, history)
        elif not out:
            self.evidence.clear()  # the SYN was answered after all
            self.passed, self.how = max(self.passed, SYN), "waiting"
            if _ended_by_server(history):
                self._fails("reset" if b"r" in history else "closed", row)
            elif _ended_by_client(history):
                self.how = "cut-short"
        elif self.done and tls and self._is_narrow(row, now_ns, history):
            self.passed, self.small_only = HANDSHAKE, True
            self._fails("stalled", row)
        elif self.done and tls and self.served >= 0 and not self.proven:
            self._request(row, now_ns, history)
        elif self.done or (not tls and back):
            self._works()
        elif not tls:
            self._answer(row, now_ns, history, SYN)
        elif unread and back and self.hello is None:
            self.passed, self.how = FLIGHT, "waiting"
        else:
            self._handshake(row, now_ns, history, back)

    def _older(self, row: FlowRow) -> None:
        both = row.packets_out > 0 and row.packets_in > row.rst_in
        if both:
            self._works()
        else:
            self.passed, self.how = SYN, "waiting"

    def _works(self) -> None:
        self.small_only = False
        self.passed, self.how, self.proven = DATA, "works", True
        self.evidence.clear()

    def _request(self, row: FlowRow, now_ns: int, history: bytes) -> None:
        """Whether what is asked after the handshake is answered. The sizes of a ticket and of a
        short answer are alike; but a client acknowledges what it was answered, so that the last
        word is its own, and of a request that is left in vain the last word is the server's
        acknowledgement. A client that sends more and more, and is acknowledged, waits for no
        answer; and one that soon leaves by itself may only end its own wait."""
        in_vain = self.asked_in >= 0
        much = row.payload_in - self.served > LIMITS.ticket_bytes
        if much or (in_vain and row.payload_in > self.asked_in):
            self._works()
            return
        over = _first(history, b"FRfr") < NEVER_CAME
        self.passed, self.how = DATA, "works"
        self.evidence.clear()
        if in_vain and self._sends_on(row):
            self._works()
        elif in_vain:
            waited = (row.last_ns if over else now_ns) - self.asked_ns
            if over and self.taken and waited < LIMITS.given_up_ns and _ended_by_client(history):
                self.how = "cut-short"
            elif over or now_ns - row.last_ns >= LIMITS.unanswered_ns:
                self.passed = HANDSHAKE
                self.doubted = self.taken and waited < LIMITS.unanswered_ns
                self._fails("unanswered", row)
            else:
                self.due_ns = row.last_ns + LIMITS.unanswered_ns
        elif over:
            self._works()
        elif now_ns - row.last_ns < LIMITS.patience_ns:
            self.due_ns = row.last_ns + LIMITS.patience_ns
        elif self._is_owed(row):
            self.asked_in, self.asked_out = row.payload_in, row.payload_out
            self.asked_ns = row.last_out_ns
            self.taken = row.last_in_ns > row.last_out_ns
            self.due_ns = row.last_ns + LIMITS.unanswered_ns
        else:
            self._works()

    def _is_narrow(self, row: FlowRow, now_ns: int, history: bytes) -> bool:
        """After the handshake, full-size segments of one side are lost each time, and small ones
        get through."""
        out, back = self.sizes
        out.look(now_ns, row.payload_out, row.retransmits_out, row.data_segments_out,
                 row.max_segment_out,
                 heard=row.last_in_ns >= row.last_out_ns and not row.dup_acks_in)  # fmt: skip
        back.look(now_ns, row.payload_in, row.retransmits_in, row.data_segments_in,
                  row.max_segment_in,
                  heard=row.last_out_ns >= row.last_in_ns and not row.dup_acks_out)  # fmt: skip
        # what is lost before this vantage is never seen: its hole stays, though small ones follow
        hole = row.lost_segments_in > 0 and row.max_segment_in < LIMITS.full_segment_bytes
        # (what the client acknowledges did arrive: it is missing in the capture)
        hole = hole and not row.out_of_order_in + row.retransmits_in + row.unseen_in
        self.narrow_to = out.narrow
        if not (out.narrow or back.narrow or hole):
            return False
        if row.end or _first(history, b"FRfr") < NEVER_CAME:
            return True
        since_ns = (row.last_in_ns if hole else 0) or out.since_ns or back.since_ns
        if now_ns - since_ns >= LIMITS.answer_wait_ns:
            return True
        self.due_ns = since_ns + LIMITS.answer_wait_ns
        return False

    def _sends_on(self, row: FlowRow) -> bool:
        """It sends more before it has an answer, and the server acknowledges it: it publishes. In
        HTTP/2 several requests may wait."""
        more = row.payload_out - self.asked_out > LIMITS.leave_bytes
        acknowledged = self.taken and not row.retransmits_out and row.last_in_ns > row.last_out_ns
        return more and acknowledged and "h2" not in self._offered

    def _is_owed(self, row: FlowRow) -> bool:
        """The client has spoken last, and the server owes an answer."""
        if row.keep_alive_out or row.keep_alive_in:
            return False
        speaks_http = any(name == "h2" or name.startswith("http/") for name in self._offered)
        speaks_mqtt = row.dport == 8883 or any("mqtt" in name for name in self._offered)
        if row.dport not in _ANSWERED and not speaks_http and not speaks_mqtt:
            return False  # a receiver, as of syslog, may never say a word
        if speaks_mqtt and row.payload_in > self.served:
            return False  # it was answered, and what is published at most once never is
        acknowledged = row.last_in_ns > row.last_out_ns
        lost = row.retransmits_out > 0 and row.last_out_ns - row.last_in_ns >= LIMITS.patience_ns
        return acknowledged or lost

    @property
    def _offered(self) -> tuple[str, ...]:
        return self.hello.alpn if self.hello is not None else ()

    def _syn(self, row: FlowRow, now_ns: int, first: int, history: bytes) -> None:
        self.passed = NEXT_HOP
        if row.rst_in:
            self._fails("refused", row)
            return
        age = now_ns - first
        ended = row.end != 0
        if self.how == "icmp":
            return
        self._note(first, self.packet, "SYN, no answer")
        if self.syns > 1:
            last = row.syn_last_ns or row.last_ns
            self._note(last, row.last_packet, "SYN again, no answer")
        if age >= LIMITS.syn_wait_ns or self.syns >= LIMITS.syns or ended:
            self.how = "silent"
        else:
            self.how, self.due_ns = "waiting", first + LIMITS.syn_wait_ns

    def _handshake(self, row: FlowRow, now_ns: int, history: bytes, back: int) -> None:
        """Between ClientHello and the end of the handshake."""
        self.small_only = False
        if not back:
            self._answer(row, now_ns, history, HELLO)
            self.small_only = self.failed and self._half_hello(row, history)
            return
        self.passed, self.how = FLIGHT, "waiting"
        if self.http is not None:
            self.passed = HELLO
            self._fails("http", row, self.http.time_ns, self.http.packet)
        elif self.alert is not None and (self.alert.code or 0) != 0:
            self._fails("alert", row, self.alert.time_ns, self.alert.packet)
        elif _ended_by_server(history):
            self._fails("reset" if b"r" in history else "closed", row)
        elif _ended_by_client(history):
            self._fails("left", row)
        elif now_ns - row.last_ns >= LIMITS.answer_wait_ns or row.end:
            self._fails("stalled", row)
        else:
            self.due_ns = row.last_ns + LIMITS.answer_wait_ns
        gap = row.lost_segments_in > 0 and row.max_segment_in < LIMITS.full_segment_bytes
        self.small_only = gap and self.how in ("stalled", "left")

    def _half_hello(self, row: FlowRow, history: bytes) -> bool:
        """The full-size part of the ClientHello is retransmitted again and again, while the server
        has acknowledged later bytes: it is up, but the large part does not arrive.
        """
        again, hello = row.retransmits_out, self.hello
        if again < LIMITS.hello_again or hello is None or hello.size <= row.max_segment_out:
            return False
        each = (row.payload_out - hello.size) / again
        spoke = history.find(b"D")
        return each >= LIMITS.full_segment_bytes and b"a" in history[spoke:]

    def _answer(self, row: FlowRow, now_ns: int, history: bytes, passed: int) -> None:
        """The client has sent data, and the server has sent none yet."""
        self.passed = passed
        self.again = max(self.again, row.retransmits_out)
        spoke = row.first_payload_ns or row.first_ns
        if _ended_by_server(history):
            self._fails("reset" if b"r" in history else "closed", row)
        elif _ended_by_client(history):
            waited = row.last_out_ns - spoke
            if waited >= LIMITS.patience_ns or self.again:
                self._fails("silent", row)
            else:
                self.how = "cut-short"
        elif now_ns - spoke < LIMITS.answer_wait_ns and not row.end:
            self.how, self.due_ns = "waiting", spoke + LIMITS.answer_wait_ns
        elif row.retransmits_out or row.last_in_ns > row.last_out_ns:
            self._fails("silent", row)
        elif row.keep_alive_out or row.keep_alive_in:
            self._fails("silent", row)  # nothing of it waits for an acknowledgement
        else:
            # neither acknowledged nor sent again, as TCP must: the client is gone, or out of sight
            self.how = "gone"

    def _fails(self, how: str, row: FlowRow, time_ns: int = 0, packet: int = 0) -> None:
        if self.how == how:
            return
        self.how = how
        if self.hello is not None:
            named = f" for {self.hello.sni}" if self.hello.sni else ""
            self._note(self.hello.time_ns, self.hello.packet, f"ClientHello{named}")
        elif not self.evidence:
            self._note(self.first_ns, self.packet, "SYN")
        reset = how in ("reset", "refused") and row.rst_ns
        time_ns = time_ns or (row.rst_ns if reset else row.last_ns)
        packet = packet or (row.rst_packet if reset else row.last_packet)
        self._note(time_ns, packet, self._end())

    def _note(self, time_ns: int, packet: int, text: str) -> None:
        entry = EvidenceRecord(time_ns=time_ns, packet=packet or None, text=text)
        if entry not in self.evidence and len(self.evidence) < 6:
            self.evidence.append(entry)


def _ended_by_server(history: bytes) -> bool:
    """The server ended it first, by FIN or RST, in Zeek's letters."""
    return _first(history, b"fr") < _first(history, b"FR")


def _ended_by_client(history: bytes) -> bool:
    return _first(history, b"FR") < _first(history, b"fr")


def _first(history: bytes, letters: bytes) -> int:
    return min((i for i, letter in enumerate(history) if letter in letters), default=NEVER_CAME)
