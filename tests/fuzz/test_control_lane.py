"""Whole frames that mean harm, through the decoder and the control lane: nothing gets out."""

from __future__ import annotations

import random

import pytest

from panotui.sources import open_file
from tests.captures import capture
from tests.fuzz.test_control_parsers import mutate
from tests.meter.through_lane import end, run_frames

CAPTURES = [
    "lab/peers.pcap",
    "lab/dhcp.pcap",
    "lab/lldp.pcap",
    "open/zeek__dns_mdns.pcap",
    "open/zeek__tls_client-certificate.pcap",
    "open/zeek__tls_hrr.pcap",
    "open/zeek__mqtt.pcap",
    "open/zeek__quic_chromium-115.0.5790.110-api-cirrus-com.pcap",
    "crafted/proxy.pcapng",
    "crafted/bridge.pcap",
    "open/tcpdump__802.1w_rapid_STP.pcap",
    "open/tcpdump__dns_tcp.pcap",
    "open/sv__llmnr_llmnr-tcp-reassembly.pcap",
]


@pytest.mark.parametrize("name", CAPTURES)
def test_mutated_captures_never_raise_and_leave_nothing_behind(name):
    source = open_file(str(capture(name)))
    batch = source.read(0)
    assert batch is not None
    frames = [
        bytes(batch.data[offset : offset + size])
        for offset, size in zip(batch.offset[:120], batch.captured[:120], strict=True)
    ]
    source.close()
    chance = random.Random(name)
    taken = 0
    for _ in range(6):
        hostile = []
        for frame in frames:
            # beyond the link header, so that the lane and not the decoder is at work
            keep = chance.choice((14, 34, 42, 54, 66))
            hostile.append(frame[:keep] + mutate(frame[keep:] or b"\0", chance))
            if chance.random() < 0.1:
                hostile.append(chance.choice(frames))
        lengths = [len(frame) for frame in hostile]
        for index, frame in enumerate(hostile):
            if chance.random() < 0.2:  # what capture cut
                hostile[index] = frame[: chance.choice((60, 96, 160, 256))]
        result = run_frames(hostile, linktype=batch.interfaces[0].linktype, wire_lengths=lengths)
        taken += result.lane.taken
        end(result)
        assert result.lane.openings.talk_bytes == 0
        assert not result.lane.openings.talks
    assert taken > 0
