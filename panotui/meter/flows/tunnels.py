"""Names tunnels by their outer header: the first packets of flows in, an index into `APPS` out.

The content of a tunnel is neither decoded nor counted. The tunnel itself must be recognised,
because traffic in it evades every rule about names and ports. Formats: RFC 7348 section 5 (VXLAN),
RFC 8926 section 3.4 (GENEVE), RFC 2784 (GRE), RFC 2003 and 4213 (IP in IP).
"""

from __future__ import annotations

import numpy as np

from panotui.model import APPS, I64, U8, Bool, PacketBatch
from panotui.wire.columns import Columns
from panotui.wire.gather import gather

_VXLAN, _GENEVE, _GRE, _IN_IP = (
    APPS.index(name) for name in ("vxlan", "geneve", "gre", "ip-in-ip")
)
_UDP, _GRE_PROTOCOL = 17, 47
_GENEVE_PORT = 6081
_INNER = (0x6558, 0x0800, 0x86DD)  # Ethernet, IPv4, IPv6


def tunnel_apps(batch: PacketBatch, c: Columns, rows: I64) -> U8:
    """(m,) protocol of the rows that `decode` flagged as TUNNEL; 0 if the first bytes behind a UDP
    header contradict the port. If they were not captured, the port decides.
    """
    app = np.where(c.protocol[rows] == _GRE_PROTOCOL, _GRE, _IN_IP).astype(np.uint8)
    udp = c.protocol[rows] == _UDP
    seen: Bool = c.payload_captured[rows] >= 8
    head = gather(batch.data, np.where(seen, c.payload[rows], 0), 8).view(np.uint8).reshape(-1, 8)
    vxlan = ~seen | ((head[:, 0] & 8 != 0) & (head[:, 7] == 0))
    inner = (head[:, 2].astype(np.uint16) << 8) | head[:, 3]
    geneve = ~seen | ((head[:, 0] >> 6 == 0) & np.isin(inner, _INNER))
    is_geneve = c.dport[rows] == _GENEVE_PORT
    named = np.where(is_geneve, np.where(geneve, _GENEVE, 0), np.where(vxlan, _VXLAN, 0))
    return np.where(udp, named, app).astype(np.uint8)
