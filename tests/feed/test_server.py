from __future__ import annotations

import asyncio
import os
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from panotui.errors import UsageError
from panotui.feed.client import AsyncFeedClient, FeedClient
from panotui.feed.codec import FeedError, pack, request_reassembler
from panotui.feed.server import CLIENTS_MAX, FeedServer, listen
from panotui.views.frames import Command, Done, Frame, View
from panotui.views.provider import StateProvider
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
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=20)
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
    with pytest.raises(UsageError, match="is no socket"):
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


@given(st.builds(View, pane=st.text(), first=st.integers(-5, 10**9), rows=st.integers(-5, 10**9),
                 filter=st.text(max_size=40), detail=st.none() | st.text(max_size=30),
                 sort=st.none() | st.text(max_size=10), follow=st.none() | st.text()))  # fmt: skip
def test_any_view_is_answered(view: View) -> None:
    frame = StateProvider(FixedState(flows=20), "live").frame(view)
    assert len(frame.flows) <= 200
    assert request_reassembler().feed(pack(view)) == [view]
