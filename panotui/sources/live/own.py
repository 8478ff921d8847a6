"""The technician's own SSH session, which must not count as traffic of the site.

`sshd` stores the session's addresses and ports in the environment; the meter marks packets of that
five-tuple as `OWN` (`wire.columns`).
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping

from msgspec import Struct


class OwnTraffic(Struct, frozen=True):
    """One of our own TCP connections, as 16-byte addresses like the meter's columns."""

    version: int  # 4 or 6
    client: bytes  # 16 bytes, IPv4 in the first four
    client_port: int
    server: bytes
    server_port: int


def own_traffic(environment: Mapping[str, str] | None = None) -> OwnTraffic | None:
    """The SSH session of this process, from SSH_CONNECTION; None if there is none.

    `sudo` keeps the variable only if configured to, so SSH_CLIENT and the parents' environment (if
    readable) are also used.
    """
    variables = os.environ if environment is None else environment
    found = _parsed(variables.get("SSH_CONNECTION", ""))
    if found is None and environment is None:
        found = _from_parents()
    return found


def _parsed(text: str) -> OwnTraffic | None:
    parts = text.split()
    if len(parts) != 4:
        return None
    try:
        client = ipaddress.ip_address(parts[0].split("%")[0])
        server = ipaddress.ip_address(parts[2].split("%")[0])
        ports = int(parts[1]), int(parts[3])
    except ValueError:
        return None
    if any(not 0 < port < 65_536 for port in ports):
        return None
    raw: list[bytes] = []
    version = 0
    for address in (client, server):
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        version = max(version, address.version)
        raw.append(address.packed.ljust(16, b"\0"))
    return OwnTraffic(version, raw[0], ports[0], raw[1], ports[1])


def _from_parents() -> OwnTraffic | None:
    pid = os.getppid()
    for _ in range(16):
        if pid <= 1:
            return None
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                variables = file.read(1 << 20).split(b"\0")
            with open(f"/proc/{pid}/stat", "rb") as file:
                pid = int(file.read().rpartition(b")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            return None
        for variable in variables:
            if variable.startswith(b"SSH_CONNECTION="):
                found = _parsed(variable[15:].decode("ascii", "replace"))
                if found is not None:
                    return found
    return None
