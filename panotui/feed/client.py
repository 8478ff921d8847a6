"""The screen's side of the feed: a request in, its answer out, one at a time.

`AsyncFeedClient` is for the screen's event loop, `FeedClient` for everything else. The address is
the path of a Unix socket or the number of an inherited, connected one.
"""

from __future__ import annotations

import asyncio
import socket

from panotui.feed.codec import FeedError, answer_reassembler, pack
from panotui.views.frames import Answer, Command, Done, View

_CHUNK = 256 << 10
FOREIGN = "the socket belongs to another user"
CLOSED = "its socket is closed to this user"  # which it was not when it was opened


def _gone(why: str) -> FeedError:
    return FeedError("collector", why, "Start it again; the recording keeps what was written.")


def _connect(address: str | int) -> socket.socket:
    if isinstance(address, int):
        return socket.socket(fileno=address)
    peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        peer.connect(address)
    except FileNotFoundError:
        peer.close()
        raise FeedError(
            address, "no recorder listens here", "Start one with `panotui record`."
        ) from None
    except ConnectionRefusedError:
        peer.close()
        raise FeedError(
            address, "its recorder has ended", "Start one with `panotui record`."
        ) from None
    except PermissionError:
        peer.close()
        raise FeedError(
            address,
            FOREIGN,
            "Run as that user, join the socket's group, or use sudo.",
        ) from None
    except OSError as error:
        peer.close()
        raise FeedError(address, error.strerror or str(error)) from None
    return peer


class FeedClient:
    """Blocking client; one request in flight."""

    def __init__(self, peer: socket.socket) -> None:
        self._peer = peer
        self._messages = answer_reassembler()

    @classmethod
    def connect(cls, address: str | int) -> FeedClient:
        return cls(_connect(address))

    def ask(self, request: View | Command, timeout_s: float = 5.0) -> Answer:
        """The answer; FeedError if the collector is gone or does not answer in time."""
        self._peer.settimeout(timeout_s)
        try:
            self._peer.sendall(pack(request))
        except OSError:
            pass  # there may be a refusal to read
        try:
            while True:
                data = self._peer.recv(_CHUNK)
                if not data:
                    raise _gone("it has ended")
                for answer in self._messages.feed(data):
                    return answer
        except TimeoutError:
            raise _gone(f"no answer for {timeout_s:g} s") from None
        except OSError as error:
            raise _gone(error.strerror or str(error)) from None

    def close(self) -> None:
        self._peer.close()


class AsyncFeedClient:
    """The same for an event loop."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._messages = answer_reassembler()
        self._turn = asyncio.Lock()

    @classmethod
    async def connect(cls, address: str | int) -> AsyncFeedClient:
        peer = _connect(address)
        peer.setblocking(False)
        reader, writer = await asyncio.open_unix_connection(sock=peer)
        return cls(reader, writer)

    async def ask(self, request: View | Command) -> Answer:
        """The answer, however long it takes; FeedError if the collector is gone.

        A stalled collector is not one that has ended: only the end of the connection shows that.
        The caller knows how long there was no answer.
        """
        async with self._turn:
            try:
                self._writer.write(pack(request))
                try:
                    await self._writer.drain()
                except ConnectionError:
                    pass  # there may be a refusal to read
                while True:
                    data = await self._reader.read(_CHUNK)
                    if not data:
                        raise _gone("it has ended")
                    for answer in self._messages.feed(data):
                        return answer
            except ConnectionError as error:
                raise _gone(error.strerror or str(error)) from None

    async def close(self) -> None:
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except OSError:
            pass


class ReattachingClient:
    """A client of a recorder's socket that can reconnect when the recorder comes back."""

    def __init__(self, address: str, connected: int) -> None:
        """`connected`: a descriptor of an existing connection to `address`."""
        self._address = address
        self._connected: int | None = connected
        self._client: AsyncFeedClient | None = None

    async def ask(self, request: View | Command) -> Answer:
        """The answer; FeedError if the recorder is gone, after which `reattach` may help."""
        if self._client is None:
            if self._connected is None:
                raise _gone("it has ended")
            connected, self._connected = self._connected, None
            self._client = await AsyncFeedClient.connect(connected)
        return await self._client.ask(request)

    async def reattach(self) -> None:
        """Connect again; FeedError while nobody listens. A screen that root started has given up
        root since, and may not open a socket of another user again."""
        await self.close()
        try:
            self._client = await AsyncFeedClient.connect(self._address)
        except FeedError as error:
            if error.why != FOREIGN:
                raise
            raise FeedError(self._address, CLOSED, "Quit and attach again.") from None

    async def close(self) -> None:
        if self._client is not None:
            client, self._client = self._client, None
            await client.close()


def refused(answer: Answer) -> str | None:
    """The reason if an answer to a `View` is a refusal."""
    return answer.text if isinstance(answer, Done) else None
