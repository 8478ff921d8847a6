"""Flow rows made by hand for tests of the policy floor."""

from __future__ import annotations

import ipaddress
from typing import Any

import numpy as np

from panotui.model import APPS, CLIENT_BY, FLOW_DTYPE, FLOW_STATES, SECOND, Rows, mac_value

START_NS = 1_700_000_000 * SECOND
MAC_ETH0 = "02:00:00:00:00:10"
MAC_ETH1 = "02:00:00:00:00:11"
MAC_CAMERA = "02:00:00:00:00:c1"
MAC_GATEWAY = "02:00:00:00:00:01"
PROTOCOLS = {"tcp": 6, "udp": 17, "icmp": 1, "icmp6": 58, "igmp": 2, "vrrp": 112, "gre": 47}


def flow_row(
    client: str,
    sport: int,
    server: str,
    dport: int,
    transport: str = "tcp",
    *,
    flow: int = 1,
    app: str | None = None,
    opened: str = "syn",
    state: str = "established",
    mid: bool = False,
    answered: bool = True,
    first_ns: int = START_NS + 60 * SECOND,
    client_mac: str | None = None,
    server_mac: str | None = None,
    spoke: bool = True,
) -> Rows:
    """One FLOW_DTYPE row."""
    row = np.zeros(1, FLOW_DTYPE)
    a, b = ipaddress.ip_address(client), ipaddress.ip_address(server)
    row["id"], row["version"], row["protocol"] = flow, a.version, PROTOCOLS[transport]
    row["client_by"] = CLIENT_BY.index(opened)
    row["state"] = FLOW_STATES.index(state)
    row["app"] = APPS.index(app)
    row["src"][0, : len(a.packed)] = list(a.packed)
    row["dst"][0, : len(b.packed)] = list(b.packed)
    row["sport"], row["dport"], row["vlan"] = sport, dport, -1
    row["interface_out"] = row["interface_in"] = 0
    if client_mac:
        row["mac_out_src"] = row["mac_in_dst"] = mac_value(client_mac)
    if server_mac:
        row["mac_out_dst"] = row["mac_in_src"] = mac_value(server_mac)
    row["first_ns"] = row["last_ns"] = first_ns
    row["packets_out"] = 3 if spoke else 0
    row["packets_in"] = 3 if answered else 0
    row["bytes_out"], row["bytes_in"] = 180, 180 if answered else 0
    if transport == "tcp" and not mid:
        row["syn_out"], row["syn_ns"] = 1, first_ns
        if answered:
            row["synack_ns"] = first_ns + 1000
    return row


def many(rows: list[Any]) -> Rows:
    """Rows joined to one array."""
    return np.concatenate(rows) if rows else np.zeros(0, FLOW_DTYPE)
