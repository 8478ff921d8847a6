"""RTCP data about streams: the sender's clock and counts, the receiver's loss and jitter.

In: compound packets with their time and the number of their stream's packets by then. Out: the RTCP
columns of the stream's row, and `RtcpReport` messages. RFC 3550 6.4 and A.3; the tap is somewhere
between sender and receiver.
"""

from __future__ import annotations

from typing import Any

import msgspec

from panotui.model import SECOND, Rows, RtcpReport
from panotui.wire.rtcp import ReceptionReport, SenderReport, ntp_to_unix_ns

_SENT_MAX = 8  # sender reports remembered per stream, to find the one that an RR answers
_DRIFT_AFTER_NS = 10 * SECOND


class Clockwork(msgspec.Struct):
    """The remembered reports of one stream."""

    first_packets: int = -1  # sender's count in its first report
    first_seen: int = 0  # and ours
    first_ns: int = 0
    first_offset_ns: int = 0
    sent: list[tuple[int, int]] = []  # (middle 32 bits of NTP, time_ns of passing)


def sender_report(
    row: Rows, state: Clockwork, report: SenderReport, time_ns: int, seen: int
) -> None:
    """Apply an SR to `row` (a view of length 1); `seen`: packets of the stream before it."""
    row["sr_count"] += 1
    offset_ns = ntp_to_unix_ns(report.ntp) - time_ns
    if report.ntp:
        row["camera_clock_offset_s"] = offset_ns / SECOND
        state.sent.append((report.ntp >> 16 & 0xFFFFFFFF, time_ns))
        del state.sent[:-_SENT_MAX]
    if state.first_packets < 0 or report.packets < state.first_packets:
        state.first_packets = report.packets
        state.first_seen = seen
        state.first_ns = time_ns
        state.first_offset_ns = offset_ns
        row["sr_packets"] = 0
        row["sr_lost"] = 0
        return
    sent = report.packets - state.first_packets
    row["sr_packets"] = sent
    row["sr_lost"] = max(sent - (seen - state.first_seen), 0)  # an SR may overtake packets
    if report.ntp and time_ns - state.first_ns >= _DRIFT_AFTER_NS:
        row["drift_ppm"] = (offset_ns - state.first_offset_ns) / (time_ns - state.first_ns) * 1e6


def reception_report(row: Rows, state: Clockwork, report: ReceptionReport, time_ns: int) -> None:
    """Apply a report block about this stream to `row` (a view of length 1)."""
    row["rr_count"] += 1
    row["rr_lost"] = max(report.lost, 0)  # negative: duplicates, RFC 3550 6.4.1
    row["rr_fraction"] = report.fraction / 256
    clock = int(row["clock_rate"][0])
    if clock:
        row["rr_jitter_ms"] = report.jitter / clock * 1000
    if report.last_sr:
        for middle, passed_ns in reversed(state.sent):
            if middle == report.last_sr:
                # Tap to receiver and back: the report contains the receiver's own delay.
                rtt_ms = (time_ns - passed_ns) / 1e6 - report.delay / 65536 * 1000
                row["rtt_ms"] = max(rtt_ms, 0.0)
                break


def message_of(
    report: SenderReport | ReceptionReport | int,
    stream: int,
    time_ns: int,
    number: int,
    interface: int,
    flow: int,
) -> RtcpReport:
    """The message of a report; for an SSRC that has left, its BYE."""
    if isinstance(report, SenderReport):
        said: dict[str, Any] = {
            "kind": "sr",
            "ssrc": report.ssrc,
            "about": report.ssrc,
            "ntp_ns": ntp_to_unix_ns(report.ntp) if report.ntp else None,
            "rtp_time": report.rtp_time,
            "packets": report.packets,
            "octets": report.octets,
        }
    elif isinstance(report, ReceptionReport):
        said = {
            "kind": "rr",
            "ssrc": report.reporter,
            "about": report.about,
            "fraction_lost": report.fraction / 256,
            "cumulative_lost": report.lost,
            "highest": report.highest,
            "jitter": report.jitter,
            "from_receiver": True,
        }
    else:
        said = {"kind": "bye", "ssrc": report, "about": report}
    return RtcpReport(
        time_ns=time_ns, packet=number, interface=interface, flow=flow, stream=stream, **said
    )
