"""Checks the gateway: it is pinged if the kernel permits, otherwise found by its MAC address.

Many gateways do not answer ping, and an entry of the ARP table may be some seconds old: the result
says which of the two was seen.
"""

from __future__ import annotations

import ipaddress
import os
import queue
import socket
import struct
import time
from pathlib import Path
from typing import Any

import netifaces

from panotui.probes.result import ProbeResult, skipped

_ARP = Path("/proc/net/arp")
_COMPLETE = 0x2


def gateways() -> list[tuple[str, str]]:
    """(address, interface) of the IPv4 default gateways."""
    found: Any = netifaces.gateways().get(netifaces.AF_INET, ())
    return [(str(entry[0]), str(entry[1])) for entry in found]


def gateway(address: str, interface: str = "", wait_s: float = 1.0) -> ProbeResult:
    """Ping it, or make the kernel resolve it by sending one datagram to its discard port, and read
    the ARP table.
    """
    target = f"{address}{f' on {interface}' if interface else ''}"
    began = time.monotonic()
    try:
        is_v4 = ipaddress.ip_address(address).version == 4
    except ValueError:
        return skipped("gateway", target, "it is not an address")
    if not is_v4:
        return skipped("gateway", target, "only IPv4 gateways are tried")
    if ping(address, wait_s):
        ms = (time.monotonic() - began) * 1000
        return ProbeResult(kind="gateway", target=target, ok=True, text="answers ping", ms=ms)
    if not is_neighbour(address):
        return skipped(
            "gateway",
            target,
            "no answer to ping, and it is on no network of this machine",
            "Run the check from a machine on the appliance's network.",
        )
    return _by_arp(address, target, wait_s)


def _by_arp(address: str, target: str, wait_s: float) -> ProbeResult:
    began = time.monotonic()
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.sendto(b"", (address, 9))
    except OSError as error:
        return _failed(target, error.strerror or str(error))
    while True:
        mac = _resolved(address)
        passed = time.monotonic() - began
        if mac:
            text = f"answers ARP as {mac}, but not ping (many gateways do not)"
            return ProbeResult(kind="gateway", target=target, ok=True, text=text, ms=passed * 1000)
        if passed >= wait_s:
            return _failed(target, "answers neither ping nor ARP")
        time.sleep(0.02)


def ping(address: str, wait_s: float) -> bool:
    """One ICMP echo (RFC 792); false without an answer, or if the kernel permits no ping."""
    try:
        asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP)
        offset = 0
    except OSError:
        opened = _raw_socket()
        if opened is None:
            return False
        asking, offset = opened, 20
    with asking:
        token = os.urandom(8)
        try:
            asking.sendto(_echo(token), (address, 0))
            end = time.monotonic() + wait_s
            while (left := end - time.monotonic()) > 0:
                asking.settimeout(left)
                data, peer = asking.recvfrom(2048)
                if offset and data:
                    offset = 4 * (data[0] & 15)  # a raw socket also delivers the IP header
                message = data[offset:]
                if peer[0] == address and message[:1] == b"\0" and message[8:16] == token:
                    return True
        except OSError:  # includes the timeout, and errors that the path reports
            return False
    return False


_opened: queue.SimpleQueue[socket.socket] = queue.SimpleQueue()
OPENED = 8  # gateways that can be pinged after the drop


def open_ahead() -> None:
    """Open sockets that need root, for use after the drop. A raw socket can only send ICMP and
    receive the answers.
    """
    for _ in range(OPENED):
        asking = _raw_socket()
        if asking is None:
            return
        _opened.put(asking)


def _raw_socket() -> socket.socket | None:
    try:
        return socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    except OSError:
        pass
    try:
        return _opened.get_nowait()
    except queue.Empty:
        return None


def _echo(token: bytes) -> bytes:
    number = os.getpid() & 0xFFFF
    head = struct.pack(">BBHHH", 8, 0, 0, number, 1)
    words = struct.unpack(f">{len(head + token) // 2}H", head + token)
    total = sum(words)
    total = (total >> 16) + (total & 0xFFFF)
    total += total >> 16
    return struct.pack(">BBHHH", 8, 0, ~total & 0xFFFF, number, 1) + token


def is_neighbour(address: str) -> bool:
    """True if the address lies in a network of one of this machine's interfaces."""
    import psutil  # 22 ms that `doctor` and a check without gateways do not need

    wanted = ipaddress.ip_address(address)
    for entries in psutil.net_if_addrs().values():
        for entry in entries:
            if entry.family != socket.AF_INET or not entry.netmask:
                continue
            if wanted in ipaddress.ip_network(f"{entry.address}/{entry.netmask}", strict=False):
                return True
    return False


def _resolved(address: str) -> str | None:
    try:
        lines = _ARP.read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return None
    for line in lines:
        words = line.split()
        if len(words) >= 4 and words[0] == address and int(words[2], 16) & _COMPLETE:
            return words[3]
    return None


def _failed(target: str, text: str) -> ProbeResult:
    return ProbeResult(
        kind="gateway",
        target=target,
        ok=False,
        text=text,
        action="Look at the cable, the switch port, the VLAN and the address of the gateway.",
    )
