"""The appliance's talk with the cloud, for the lab: real DNS, TLS, HTTP and NTP clients in a loop.

`python cloud_client.py CA.PEM PERIOD_S NTP_SERVER HOST[:PORT] ...` asks every host in turn over TLS
and the time server once a round, prints `round N` after each round and goes on until killed.
Failures are what the lab wants to show: they are printed and the loop goes on.
"""

from __future__ import annotations

import socket
import ssl
import sys
import time

import ntplib


def ask(host: str, port: int, context: ssl.SSLContext) -> None:
    with (
        socket.create_connection((host, port), timeout=4) as plain,
        context.wrap_socket(plain, server_hostname=host) as tls,
    ):
        tls.sendall(f"GET /ping HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        while tls.recv(65536):
            pass


def main(ca: str, period: float, ntp_server: str, hosts: list[str]) -> None:
    context = ssl.create_default_context(cafile=ca)
    number = 0
    while True:
        started = time.monotonic()
        for entry in hosts:
            host, _, port = entry.partition(":")
            try:
                ask(host, int(port or 443), context)
            except OSError as error:
                print(f"{host}: {error}", flush=True)
        if ntp_server != "-":
            try:
                ntplib.NTPClient().request(ntp_server, version=4, timeout=2)
            except (OSError, ntplib.NTPException) as error:
                print(f"ntp {ntp_server}: {error}", flush=True)
        number += 1
        print(f"round {number}", flush=True)
        time.sleep(max(0.0, period - (time.monotonic() - started)))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), sys.argv[3], sys.argv[4:])
