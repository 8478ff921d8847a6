"""Numbers of the protocols above IP, which everything that reads packets or flows speaks of."""

from __future__ import annotations

ICMP, IGMP, IPIP, TCP, UDP, IPV6_IN, GRE, AH, ICMP6, VRRP, SCTP = (
    1, 2, 4, 6, 17, 41, 47, 51, 58, 112, 132,
)  # fmt: skip
