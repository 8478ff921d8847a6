"""Numbers of the protocols above IP, shared by all code that reads packets or flows."""

from __future__ import annotations

ICMP, IGMP, IPIP, TCP, UDP, IPV6_IN, GRE, AH, ICMP6, VRRP, SCTP = (
    1, 2, 4, 6, 17, 41, 47, 51, 58, 112, 132,
)  # fmt: skip

# ICMP messages that come in pairs (Zeek, Community ID): type -> type of the answer. Both belong to
# one flow.
ICMP_ANSWERS = {8: 0, 0: 8, 13: 14, 14: 13, 15: 16, 16: 15, 17: 18, 18: 17, 10: 9, 9: 10}
ICMP6_ANSWERS = {
    128: 129, 129: 128, 130: 131, 131: 130, 133: 134, 134: 133, 135: 136, 136: 135,
    139: 140, 140: 139, 144: 145, 145: 144,
}  # fmt: skip
