"""Two small programs for namespaces: `serve` answers on many addresses, `try` attempts many
connections at once and tells which were answered."""

from __future__ import annotations

import json
import socket
import sys
import threading


def serve(ends: list[tuple[str, str, int]]) -> None:
    """Answer on each (transport, address, port) until killed; says "ready" once all listen."""
    for transport, address, port in ends:
        kind = socket.SOCK_STREAM if transport == "tcp" else socket.SOCK_DGRAM
        listener = socket.socket(socket.AF_INET, kind)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        target = _answer_tcp if transport == "tcp" else _answer_udp
        if transport == "tcp":
            listener.listen(64)
        threading.Thread(target=target, args=(listener,), daemon=True).start()
    print("ready", flush=True)
    threading.Event().wait()


def _answer_tcp(listener: socket.socket) -> None:
    while True:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"ok")


def _answer_udp(listener: socket.socket) -> None:
    while True:
        _, peer = listener.recvfrom(64)
        listener.sendto(b"ok", peer)


def attempt(attempts: list[tuple[str, str, str, int]], seconds: float) -> list[bool]:
    """Which of (transport, source, destination, port) were answered in time."""
    results = [False] * len(attempts)

    def run(index: int) -> None:
        transport, source, destination, port = attempts[index]
        kind = socket.SOCK_STREAM if transport == "tcp" else socket.SOCK_DGRAM
        with socket.socket(socket.AF_INET, kind) as client:
            client.settimeout(seconds)
            try:
                client.bind((source, 0))
                client.connect((destination, port))
                if transport == "udp":
                    client.send(b"x")
                results[index] = client.recv(2) == b"ok"
            except OSError:
                results[index] = False

    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(attempts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


if __name__ == "__main__":
    request = json.loads(sys.argv[2])
    if sys.argv[1] == "serve":
        serve([tuple(end) for end in request])
    else:
        print(json.dumps(attempt([tuple(a) for a in request], 1.0)))
