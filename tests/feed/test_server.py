from __future__ import annotations

import asyncio
import math
import os
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from panotui.errors import UsageError
from panotui.feed.client import AsyncFeedClient, FeedClient, ReattachingClient
from panotui.feed.codec import FeedError, answer_reassembler, pack, request_reassembler
from panotui.feed.server import CLIENTS_MAX, IDLE_S, FeedServer, listen
from panotui.views.frames import Command, Done, Frame, View
from panotui.views.provider import StateProvider
from panotui.wire.cleaned import cleaned
from tests.views.records import FixedState


class Served:
    """A server in a thread of this process."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.server = FeedServer(StateProvider(FixedState(), "live"), listen(path))
        self._stop = threading.Event()
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            self.server.poll(0.02)

    def end(self) -> None:
        self._stop.set()
        self.thread.join()
        self.server.close()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    served = Served(tmp_path / "s.sock")
    yield served
    served.end()


def raw_client(served: Served) -> socket.socket:
    peer = socket.socket(socket.AF_UNIX)
    peer.settimeout(5)
    peer.connect(str(served.path))
    return peer


def test_a_request_is_answered_with_its_frame(served: Served) -> None:
    client = FeedClient.connect(str(served.path))
    answer = client.ask(View(pane="flows", rows=10))
    assert isinstance(answer, Frame)
    assert len(answer.flows) == 10
    assert isinstance(client.ask(Command(name="mark", text="x")), Done)
    client.close()


def test_the_async_client_gets_the_same(served: Served) -> None:
    async def ask() -> None:
        client = await AsyncFeedClient.connect(str(served.path))
        answers = await asyncio.gather(*(client.ask(View(rows=n)) for n in range(5)))
        assert [a.view.rows for a in answers if isinstance(a, Frame)] == [0, 1, 2, 3, 4]
        await client.close()

    asyncio.run(ask())


def test_the_socket_is_for_user_and_group_only(served: Served) -> None:
    assert served.path.stat().st_mode & 0o777 == 0o660


def test_a_client_that_does_not_read_holds_up_nobody(served: Served) -> None:
    stuck = raw_client(served)
    stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    for _ in range(50):
        stuck.setblocking(False)
        try:
            stuck.send(pack(View(pane="flows", rows=200)))
        except OSError:  # full, or dropped for asking twice at once
            break
    client = FeedClient.connect(str(served.path))
    for _ in range(20):
        assert isinstance(client.ask(View(), timeout_s=2.0), Frame)
    client.close()
    stuck.close()


@pytest.mark.parametrize(
    "raw",
    [
        struct.pack(">I", 0xFFFFFFFF),
        struct.pack(">I", 5) + b"\xc1\xc1\xc1\xc1\xc1",
        struct.pack(">I", 0),
        pack(View())[:-1] + b"\xff",
        pack(View()) * 3,
        struct.pack(">I", 60_000) + b"\x91" * 60_000,
        pack(Done(ok=True, text="an answer, not a request")),
    ],
    ids=["huge", "not-msgpack", "empty", "damaged", "pipelined", "nested", "wrong-type"],
)
def test_a_hostile_client_gets_one_line_and_is_dropped(served: Served, raw: bytes) -> None:
    hostile = raw_client(served)
    hostile.sendall(raw)
    received = b""
    while chunk := hostile.recv(65536):
        received += chunk
    assert b"Traceback" not in received
    hostile.close()
    client = FeedClient.connect(str(served.path))
    assert isinstance(client.ask(View()), Frame)
    client.close()


def test_a_request_may_come_a_byte_at_a_time(served: Served) -> None:
    peer = raw_client(served)
    for byte in pack(View(rows=0)):
        peer.send(bytes([byte]))
    assert len(peer.recv(65536)) > 4
    peer.close()


def test_clients_over_the_limit_are_told(served: Served) -> None:
    clients = [FeedClient.connect(str(served.path)) for _ in range(CLIENTS_MAX)]
    for client in clients:
        client.ask(View(rows=0))
    answer = FeedClient.connect(str(served.path)).ask(View())
    assert isinstance(answer, Done)
    assert "attached already" in answer.text
    for client in clients:
        client.close()


def test_a_client_that_vanishes_in_the_middle_is_forgotten(served: Served) -> None:
    for _ in range(3):
        peer = raw_client(served)
        peer.send(pack(View(pane="flows", rows=200)))
        peer.close()
    client = FeedClient.connect(str(served.path))
    assert isinstance(client.ask(View()), Frame)
    client.close()
    for _ in range(100):
        if served.server.clients == 0:
            break
        threading.Event().wait(0.02)
    assert served.server.clients == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_another_user_is_refused_in_one_line(served: Served) -> None:
    served.path.chmod(0o666)
    for folder in (served.path.parent, *served.path.parents):
        if str(folder).startswith("/tmp/"):
            folder.chmod(folder.stat().st_mode | 0o055)
    code = f"""
import os, socket, sys
peer = socket.socket(socket.AF_UNIX)
os.setgid(65534); os.setgroups([]); os.setuid(65534)
peer.connect({str(served.path)!r})
peer.settimeout(5)
sys.stdout.buffer.write(peer.recv(4096))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=300)
    assert b"may not attach" in run.stdout, run.stderr
    assert served.server.refused == 1


def test_a_second_server_on_a_live_socket_is_refused_and_a_dead_one_replaced(
    served: Served, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="already answers"):
        listen(served.path)
    dead = tmp_path / "dead.sock"
    listen(dead).close()
    listen(dead).close()
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="is not a socket"):
        listen(tmp_path / "file")


def test_no_recorder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(FeedError, match="no recorder listens"):
        FeedClient.connect(str(tmp_path / "none.sock"))
    listen(tmp_path / "ended.sock").close()
    with pytest.raises(FeedError, match="has ended"):
        FeedClient.connect(str(tmp_path / "ended.sock"))


def test_a_collector_that_goes_is_told_to_the_client() -> None:
    ours, theirs = socket.socketpair()
    client = FeedClient.connect(ours.detach())
    theirs.close()
    with pytest.raises(FeedError):
        client.ask(View())
    client.close()


def taken(raw: bytes, step: int) -> int:
    messages = request_reassembler()
    count = 0
    try:
        for start in range(0, len(raw), step):
            count += len(messages.feed(raw[start : start + step]))
    except FeedError:
        pass
    return count


@given(st.binary(max_size=300), st.integers(1, 7))
def test_any_bytes_are_requests_or_a_feed_error(raw: bytes, step: int) -> None:
    assert taken(raw, step) * 5 <= len(raw)


@given(st.builds(View, pane=st.text(max_size=99), first=st.integers(-5, 10**9),
                 rows=st.integers(-5, 10**9),
                 filter=st.text(max_size=40), detail=st.none() | st.text(max_size=30),
                 sort=st.none() | st.text(max_size=10), follow=st.none() | st.text()))  # fmt: skip
def test_any_view_is_answered(view: View) -> None:
    frame = StateProvider(FixedState(flows=20), "live").frame(view)
    assert len(frame.flows) <= 200
    if view.first < 0 or view.rows < 0:
        with pytest.raises(FeedError, match="another version"):
            request_reassembler().feed(pack(view))
    else:
        assert request_reassembler().feed(pack(view)) == [cleaned(view)]


@pytest.mark.parametrize("hostile", [
    {"type": "command", "name": "mark", "text": "x", "time_ns": 2**64 - 1},
    {"type": "command", "name": "mark", "text": "x", "time_ns": -1},
    {"type": "command", "name": "seek", "value": math.nan},
    {"type": "command", "name": "speed", "value": math.inf},
    {"type": "command", "name": "known", "key": "finding:" + "k" * 60_000},
    {"type": "command", "name": "mark", "text": "x" * 60_000},
    {"type": "view", "rows": 2**63},
    {"type": "view", "filter": "x" * 60_000},
])  # fmt: skip
def test_numbers_and_lengths_beyond_the_schema_are_refused(hostile: dict[str, object]) -> None:
    body = msgspec.msgpack.encode(hostile)
    with pytest.raises(FeedError, match="another version"):
        request_reassembler().feed(struct.pack(">I", len(body)) + body)


def test_text_of_a_hostile_collector_is_printable_for_whoever_reads_it() -> None:
    frame = StateProvider(FixedState(flows=5), "live").frame(View(pane="flows"))
    bomb = "\x1b]0;owned\x07\u202e"
    replace = msgspec.structs.replace
    site = replace(frame.header.site, name=bomb)
    hostile = replace(
        frame,
        header=replace(frame.header, site=site, notice=bomb, limits={bomb: 1}),
        flows=tuple(replace(flow, host=bomb) for flow in frame.flows),
        filter_error=bomb,
    )
    (got,) = answer_reassembler().feed(pack(hostile))
    assert isinstance(got, Frame)
    assert got.flows[0].host == "\\x1b]0;owned\\x07\\u202e"
    texts = msgspec.json.encode(got).decode()
    assert "\\u001b" not in texts
    assert "\u202e" not in texts
    assert "\\u0007" not in texts


def test_who_only_reads_commands_nothing(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    server = FeedServer(StateProvider(FixedState(), "live"))
    server._take(ours, commands=False)
    for name in ("mark", "known", "unknown", "export", "accept", "undo", "seek", "play"):
        theirs.sendall(pack(Command(name=name, key="finding:x", text="csv")))
        server.poll(1.0)
        (done,) = answer_reassembler().feed(theirs.recv(65536))
        assert isinstance(done, Done)
        assert not done.ok
        assert "only the recorder's own user" in done.text
    theirs.sendall(pack(View()))
    server.poll(1.0)
    (frame,) = answer_reassembler().feed(theirs.recv(4 << 20))
    assert isinstance(frame, Frame)
    server.close()
    theirs.close()


def test_silent_clients_make_room_and_busy_ones_do_not(tmp_path: Path) -> None:
    now = 0.0
    server = FeedServer(
        StateProvider(FixedState(), "live"), listen(tmp_path / "s.sock"), clock=lambda: now
    )

    def attach() -> socket.socket:
        peer = socket.socket(socket.AF_UNIX)
        peer.settimeout(5)
        peer.connect(str(tmp_path / "s.sock"))
        server.poll(1.0)
        return peer

    silent = [attach() for _ in range(CLIENTS_MAX)]
    assert server.clients == CLIENTS_MAX
    late = attach()
    (refusal,) = answer_reassembler().feed(late.recv(65536))
    assert isinstance(refusal, Done)
    assert "attached already" in refusal.text
    now = IDLE_S + 1
    silent[0].sendall(pack(View()))  # asks, so it is the others who are idle
    server.poll(1.0)
    asker = attach()
    asker.sendall(pack(View()))
    server.poll(1.0)
    assert asker.recv(4)
    assert server.clients == CLIENTS_MAX
    assert silent[1].recv(1) == b""
    server.close()
    for peer in (*silent, late, asker):
        peer.close()


def test_a_screen_that_may_not_open_the_socket_again_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As root gave itself up after it had attached."""

    def refused(self: socket.socket, address: object) -> None:
        raise PermissionError

    class Refusing(socket.socket):
        connect = refused

    async def again() -> None:
        client = ReattachingClient(str(tmp_path / "s.sock"), -1)
        monkeypatch.setattr("panotui.feed.client.socket.socket", Refusing)
        with pytest.raises(FeedError, match=r"closed to this user\. Quit and attach again"):
            await client.reattach()

    asyncio.run(again())
