"""Ports that servers listen on, to find the server if no SYN was seen."""

from __future__ import annotations

import numpy as np

from panotui.model import Bool

# The end with one of these ports is the server, if the other end has none.
KNOWN_PORT: Bool = np.zeros(65_536, np.bool_)
KNOWN_PORT[1:1024] = True
KNOWN_PORT[
    [
        1194, 1433, 1521, 1701, 1723, 1812, 1813, 1883, 1900, 2049, 2375, 2376, 2404, 3000, 3128,
        3260, 3306, 3389, 3478, 3702, 4460, 4500, 4789, 4840, 5000, 5004, 5005, 5060, 5061, 5353,
        5355, 5432, 5554, 5672, 5683, 5684, 5900, 5985, 5986, 6081, 6379, 6443, 7070, 8000, 8008,
        8080, 8081, 8086, 8123, 8333, 8443, 8472, 8554, 8883, 8888, 9000, 9090, 9092, 9100, 9200,
        9443, 10554, 11211, 15672, 19302, 20000, 27017, 37777, 44818, 47808, 50051,
    ]
] = True  # fmt: skip
