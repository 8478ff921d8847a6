"""The collector's side of the feed: a Unix socket, clients' requests in, a provider's answers
out.

It never blocks: sockets are non-blocking, a client has one request in flight and one bounded answer
waiting, and a client that does not read delays only itself. The collector's loop calls `poll` and
adds `fileno` to its select. Access depends on file mode 0660 and on the peer's credentials: the
recorder's user and root may send commands, the socket's group may only look. Idle clients make room
for others.
"""

from __future__ import annotations

import os
import selectors
import socket
import struct
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from panotui.errors import PanotuiError, UsageError
from panotui.feed.codec import FeedError, pack, request_reassembler
from panotui.views.frames import Answer, Command, Done, Frame, View
from panotui.wire.text import printable

CLIENTS_MAX = 16
IDLE_S = 10.0  # a screen sends several requests per second: a client idle for this long makes room
_CHUNK = 64 << 10
_UCRED = struct.Struct("3i")  # pid, uid, gid (socket(7), SO_PEERCRED)
_SO_PEERGROUPS = 59  # Linux 4.13
_GROUPS_MOST = 256


SHARED_FOLDER = Path("/run/panotui")


class Provider(Protocol):
    """The source of answers: an engine, a recording."""

    def frame(self, view: View) -> Frame: ...

    def command(self, command: Command) -> Done: ...


def default_path(name: str = "recorder") -> Path:
    """`/run/panotui/NAME.sock` for root and if a unit made that folder for this user; otherwise
    `$XDG_RUNTIME_DIR/panotui/NAME.sock`, otherwise in the user's own folder for temporary files.
    """
    return default_folders()[0] / f"{name}.sock"


def default_folders() -> tuple[Path, ...]:
    """Where this user's recorders may have their sockets; the first is the place for a new one."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    user = os.geteuid()
    if user == 0:
        return (SHARED_FOLDER,)
    folders = [Path(tempfile.gettempdir()) / f"panotui-{user}", SHARED_FOLDER]
    if os.access(SHARED_FOLDER, os.W_OK):
        folders.reverse()
    if runtime and Path(runtime).is_dir():
        folders.insert(0, Path(runtime) / "panotui")
    return tuple(folders)


def listen(
    path: Path, *, private: bool = False, owner: tuple[int, int] | None = None
) -> socket.socket:
    """A listening socket at `path` with mode 0660, or 0600 if `private`. Root gives it to `owner`
    (user, group), only in a folder of that owner.

    A stale socket file is replaced; if a recorder answers on it, the error is "recorder already
    running". Raises UsageError for that and for a folder that cannot be written.
    """
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        if path.parent.name.startswith("panotui-") and path.parent.stat().st_uid != os.geteuid():
            raise UsageError(
                f"socket {path}", "its folder belongs to another user", "Choose one with --socket."
            )
        if path.exists() or path.is_symlink():
            _remove_dead(path)
        server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        umask = os.umask(0o177 if private else 0o117)
        try:
            server.bind(str(path))
        finally:
            os.umask(umask)
        if owner is not None:
            os.chown(path, *owner, follow_symlinks=False)
        server.listen(CLIENTS_MAX)
    except OSError as error:
        raise UsageError(
            f"socket {path}", error.strerror or str(error), "Choose another with --socket."
        ) from None
    server.setblocking(False)
    return server


def _remove_dead(path: Path) -> None:
    if not path.is_socket():
        raise UsageError(f"socket {path}", "the file exists and is not a socket", "Remove it.")
    probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    probe.settimeout(1.0)
    try:
        probe.connect(str(path))
    except OSError:
        path.unlink(missing_ok=True)
    else:
        raise UsageError(
            f"socket {path}",
            "a recorder already answers here",
            "Attach to it with `panotui attach`, or name another with --socket.",
        )
    finally:
        probe.close()


class _Client:
    def __init__(self, peer: socket.socket, commands: bool, now: float) -> None:
        self.peer = peer
        self.commands = commands  # may send commands, not only look
        self.asked_at = now
        self.messages = request_reassembler()
        self.out = memoryview(b"")
        self.closing = False


class FeedServer:
    """Serves one provider to a few clients from within the collector's loop."""

    def __init__(
        self,
        provider: Provider,
        listener: socket.socket | None = None,
        peers: tuple[socket.socket, ...] = (),
        group: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`peers` are screens that this program started itself: they may send commands."""
        self.provider = provider
        self._clock = clock
        self._listener = listener
        self._group = group
        self._selector = selectors.DefaultSelector()
        self._clients: dict[int, _Client] = {}
        self.refused = 0
        self.served = 0
        if listener is not None:
            listener.setblocking(False)
            self._selector.register(listener, selectors.EVENT_READ, None)
        for peer in peers:
            self._take(peer, commands=True)

    def fileno(self) -> int:
        """Readable when `poll` has something to do (an epoll descriptor)."""
        return int(self._selector.fileno())

    @property
    def clients(self) -> int:
        return len(self._clients)

    def poll(self, timeout_s: float = 0.0) -> int:
        """Serve pending requests; returns the number of requests answered."""
        before = self.served
        for key, events in self._selector.select(timeout_s):
            if key.data is None:
                self._accept()
                continue
            client: _Client = key.data
            if events & selectors.EVENT_WRITE:
                self._flush(client)
            if events & selectors.EVENT_READ and client.peer.fileno() >= 0:
                self._read(client)
        return self.served - before

    def close(self) -> None:
        for client in list(self._clients.values()):
            self._drop(client)
        if self._listener is not None:
            self._selector.unregister(self._listener)
            self._listener.close()
            self._listener = None
        self._selector.close()

    # ------------------------------------------------------------------ clients

    def _accept(self) -> None:
        assert self._listener is not None
        try:
            peer, _ = self._listener.accept()
        except OSError:
            return
        user, reason = self._user_of(peer)
        if reason is None and len(self._clients) >= CLIENTS_MAX and not self._make_room():
            reason = f"{CLIENTS_MAX} screens are attached already"
        if reason is None:
            self._take(peer, commands=user in (0, os.geteuid()))
            return
        self.refused += 1
        peer.setblocking(False)
        try:
            peer.send(pack(Done(ok=False, text=reason)))
        except OSError:
            pass
        peer.close()

    def _user_of(self, peer: socket.socket) -> tuple[int, str | None]:
        """(user, reason for refusing it or None): the same user, root, or the socket's group may
        look.
        """
        try:
            raw = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
        except OSError:
            return -1, "the peer's credentials cannot be read"
        _, uid, gid = _UCRED.unpack(raw)
        if uid in (0, os.geteuid()):
            return uid, None
        if self._group is not None and (gid == self._group or self._group in _groups_of(peer)):
            return uid, None
        return uid, f"user {uid} may not attach: the recorder belongs to user {os.geteuid()}"

    def _make_room(self) -> bool:
        """Disconnect the client that has been idle for longest; false if all are busy."""
        idlest = min(self._clients.values(), key=lambda client: client.asked_at)
        if self._clock() - idlest.asked_at < IDLE_S:
            return False
        self._drop(idlest)
        return True

    def _take(self, peer: socket.socket, commands: bool) -> None:
        peer.setblocking(False)
        client = _Client(peer, commands, self._clock())
        self._clients[peer.fileno()] = client
        self._selector.register(peer, selectors.EVENT_READ, client)

    def _drop(self, client: _Client) -> None:
        fileno = client.peer.fileno()
        if fileno < 0:
            return
        self._selector.unregister(client.peer)
        self._clients.pop(fileno, None)
        client.peer.close()

    def _read(self, client: _Client) -> None:
        try:
            data = client.peer.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._drop(client)
            return
        try:
            requests = client.messages.feed(data)
        except FeedError as error:
            self._answer(client, Done(ok=False, text=str(error)))
            client.closing = True
            self._flush(client)
            return
        if not requests:
            return
        if len(requests) > 1:
            # The protocol allows one request in flight; a client that sends more is not ours.
            self._answer(client, Done(ok=False, text="one request at a time"))
            client.closing = True
        else:
            client.asked_at = self._clock()
            self._answer(client, self._ask(client, requests[0]))
        self._flush(client)

    def _ask(self, client: _Client, request: View | Command) -> Answer:
        self.served += 1
        if isinstance(request, Command) and not client.commands:
            return Done(
                ok=False,
                text=f"only the recorder's own user ({os.geteuid()}) or root may do that",
            )
        try:
            if isinstance(request, View):
                return self.provider.frame(request)
            return self.provider.command(request)
        except PanotuiError as error:
            return Done(ok=False, text=printable(str(error), 400))

    def _answer(self, client: _Client, answer: Answer) -> None:
        client.out = memoryview(pack(answer))
        # No reading until the answer has left: a client that does not read cannot pile up work.
        self._selector.modify(client.peer, selectors.EVENT_WRITE, client)

    def _flush(self, client: _Client) -> None:
        if client.peer.fileno() < 0:
            return
        while client.out:
            try:
                sent = client.peer.send(client.out)
            except BlockingIOError:
                return
            except OSError:
                self._drop(client)
                return
            client.out = client.out[sent:]
        if client.closing:
            self._drop(client)
        else:
            self._selector.modify(client.peer, selectors.EVENT_READ, client)


def _groups_of(peer: socket.socket) -> tuple[int, ...]:
    """Supplementary groups of the peer when it connected; its process id may belong to another
    process by now.
    """
    try:
        raw = peer.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _GROUPS_MOST * 4)
    except OSError:
        return ()
    return struct.unpack(f"{len(raw) // 4}I", raw)
