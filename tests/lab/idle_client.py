"""Connections that say nothing for a while and then speak: what a forgetful firewall breaks.

`python idle_client.py CA.PEM HOST COUNT SILENCE_S`: COUNT connections to HOST ask once, are silent
for so long, ask again; what does not answer is opened anew, as an application does.
"""

from __future__ import annotations

import socket
import ssl
import sys
import threading
import time


def connect(host: str, context: ssl.SSLContext) -> ssl.SSLSocket:
    plain = socket.create_connection((host, 443), timeout=10)
    return context.wrap_socket(plain, server_hostname=host)


def ask(tls: ssl.SSLSocket, host: str) -> bool:
    """Whether an answer came."""
    try:
        tls.sendall(f"GET /poll HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        return bool(tls.recv(65536))
    except OSError as error:
        print(f"{host}: {error}", flush=True)
        return False


def one(host: str, context: ssl.SSLContext, silence: float) -> None:
    with connect(host, context) as tls:
        ask(tls, host)
        time.sleep(silence)
        if ask(tls, host):
            return
    with connect(host, context) as again:
        ask(again, host)


def main(ca: str, host: str, count: int, silence: float) -> None:
    context = ssl.create_default_context(cafile=ca)
    threads = [threading.Thread(target=one, args=(host, context, silence)) for _ in range(count)]
    for thread in threads:
        thread.start()
    print("ready", flush=True)
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
