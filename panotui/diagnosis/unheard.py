"""Whether a server sent nothing at all, whatever a short snap length has left of its answers.

In: the flows, which count packets and bytes by their headers. Out: that silence, or not.
"""

from __future__ import annotations

import ipaddress

import numpy as np

from panotui.diagnosis.facts import Facts
from panotui.model import I64, Bool
from panotui.model.flow_rows import FlowRows
from panotui.wire.protocols import TCP

LOOKED_AT = 4096


def unheard(server: str, port: int, since_ns: int, facts: Facts) -> bool:
    """No flow brought a datagram, or over TCP a byte, from this port of a server since then.

    False where contents are whole, for then their own absence says it.
    """
    if not facts.visibility.snapped:
        return False
    try:
        address = ipaddress.ip_address(server)
    except ValueError:
        return False
    rows = facts.flows.rows
    some = np.flatnonzero(
        facts.flows.live & (rows.column("dport") == port) & (rows.column("last_in_ns") >= since_ns)
    )[-LOOKED_AT:]
    some = some[rows.column("version")[some] == address.version]
    some = some[_are(rows, some, address.packed)]
    tcp = rows.column("protocol")[some] == TCP
    said = np.where(tcp, rows.column("payload_in")[some], rows.column("packets_in")[some])
    return not said.any()


def _are(rows: FlowRows, slots: I64, packed: bytes) -> Bool:
    """(n,) flows to this address."""
    wanted = np.frombuffer(packed, np.uint8)
    same: Bool = (rows.column("dst")[slots][:, : len(wanted)] == wanted).all(axis=1)
    return same
