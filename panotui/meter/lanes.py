"""The lanes of a TCP flow's direction: the parser that gets its payload (see
docs/architecture.md).
"""

LANE_NEW = 0  # first payloads go to the control lane
LANE_HANDSHAKE = 1  # more payloads are needed (a hello in several segments, a text dialogue)
LANE_RTSP = 2  # every packet goes to the stream table (both directions)
LANE_BULK = 3  # numpy only

PAYLOADS_OFFERED = 24  # first payload packets per direction that are offered to the control lane
