"""Two ends of a dozen TCP connections that do what connections do, each in its namespace.

`python tcp_peers.py serve ADDRESS` and `python tcp_peers.py ask ADDRESS`: downloads, uploads, a
reader that is too slow, small talk, a connection that is reset, one that is only kept alive, one
that is refused.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import sys
import threading
import time

PORT, NOBODY = 5001, 5999
KINDS = "dduusrkxccd"


def serve(address: str) -> None:
    """Answer until the process is ended; the first byte of a connection says what it wants."""
    listener = socket.create_server((address, PORT), family=family(address), backlog=50)
    print("ready", flush=True)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=answer, args=(connection,), daemon=True).start()


def answer(connection: socket.socket) -> None:
    connection.settimeout(15)
    with contextlib.suppress(OSError), connection:
        kind = connection.recv(1)
        if kind == b"d":
            for _ in range(20):
                connection.sendall(os.urandom(20_000))
        elif kind == b"s":
            for _ in range(6):
                time.sleep(0.25)
                connection.recv(30_000)
            drain(connection)
        elif kind == b"r":
            connection.recv(1000)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif kind == b"k":
            time.sleep(2.5)
        else:
            drain(connection)


def drain(connection: socket.socket) -> None:
    while connection.recv(200_000):
        pass


def ask(address: str) -> None:
    """Open one connection of each kind, all at once, and wait until they are done."""
    threads = [threading.Thread(target=one, args=(address, kind)) for kind in KINDS]
    for thread in threads:
        thread.start()
        time.sleep(0.05)
    for thread in threads:
        thread.join(20)


def one(address: str, kind: str) -> None:
    with contextlib.suppress(OSError), socket.socket(family(address)) as s:
        s.settimeout(12)
        if kind == "k":
            s.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1)
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
        s.connect((address, NOBODY if kind == "x" else PORT))
        s.sendall(kind.encode())
        if kind == "d":
            drain(s)
        elif kind == "u":
            for i in range(40):
                s.sendall(os.urandom(1 + i * 211))
        elif kind == "s":
            s.sendall(os.urandom(600_000))
        elif kind == "r":
            s.sendall(b"x" * 3000)
            time.sleep(0.3)
            s.sendall(b"y")
        elif kind == "k":
            time.sleep(3)
        elif kind == "c":
            for i in range(30):
                s.sendall(b"hello %d" % i)
                time.sleep(0.01 * (i % 3))


def family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


if __name__ == "__main__":
    {"serve": serve, "ask": ask}[sys.argv[1]](sys.argv[2])
