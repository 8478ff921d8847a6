"""Is the default gateway there? It is asked for its hardware address, as every packet does."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import Any

from panotui.probes.result import ProbeResult

_ARP = Path("/proc/net/arp")
_COMPLETE = 0x2


def gateways() -> list[tuple[str, str]]:
    """(address, interface) of the IPv4 default gateways."""
    import netifaces

    found: Any = netifaces.gateways().get(netifaces.AF_INET, ())
    return [(str(entry[0]), str(entry[1])) for entry in found]


def gateway(address: str, interface: str = "", wait_s: float = 1.0) -> ProbeResult:
    """Make the kernel resolve the gateway by one datagram to its discard port, and look."""
    target = f"{address}{f' on {interface}' if interface else ''}"
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
            return ProbeResult(
                kind="gateway", target=target, ok=True, text=f"answers as {mac}", ms=passed * 1000
            )
        if passed >= wait_s:
            return _failed(target, "does not answer ARP")
        time.sleep(0.02)


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
