"""Every RTP capture against independent tools: tshark's counts and the scalar reference's jitter.

The numbers of `*.reference.txt` come from a script of its own over tshark's fields. Where a
capture has none that can be used (RTP without RTSP, cut TCP), the truth is that of its making.
"""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from shutil import which

import numpy as np
import pytest

from panotui.meter.meter import Meter
from panotui.meter.streams.table import StreamTable
from panotui.model import (
    SECOND,
    STREAM_CODECS,
    AnyMessage,
    MeterSettings,
    Rows,
    RtspEnd,
    RtspMessage,
    StreamBound,
    StreamFreeze,
    StreamRestart,
)
from panotui.sources import open_file
from tests.captures import DATA, capture, captures


@dataclass
class Metered:
    streams: dict[int, np.void]  # by SSRC
    messages: list[AnyMessage] = field(default_factory=list)
    seconds: list[Rows] = field(default_factory=list)
    table: StreamTable | None = None


def metered(path: Path, batch: int = 1 << 30) -> Metered:
    """A capture through a meter, ticked at every second of packet time."""
    source = open_file(str(path))
    table = StreamTable(MeterSettings())
    meter = Meter(MeterSettings(), 0, streams=table)
    out = Metered({}, table=table)

    def tick(now_ns: int) -> None:
        delta = meter.tick(now_ns)
        for row in delta.streams:
            out.streams[int(row["ssrc"])] = row.copy()
        out.messages.extend(delta.messages)
        out.seconds.append(delta.stream_seconds)

    second = None
    last = 0
    while not source.ended:
        packets = source.read(0)
        if packets is None:
            continue
        start = 0
        while start < len(packets):
            now = int(packets.time_ns[start]) // SECOND
            later = np.flatnonzero(packets.time_ns[start:] // SECOND != now)
            stop = start + (int(later[0]) if len(later) else len(packets) - start)
            stop = min(stop, start + batch)
            if second is not None and now > second:
                tick((second + 1) * SECOND)
            second = max(second or 0, now)
            meter.update(packets.slice(start, stop))
            last = int(packets.time_ns[stop - 1])
            start = stop
    source.close()
    tick(last)
    return out


_COUNTS = re.compile(
    r"ssrc (0x\w+) received (\d+) unique (\d+) dup (\d+) ooo (\d+) expected (\d+) lost (-?\d+) "
    r"lost_unique (-?\d+) .*gap_events (\d+) maxgap (\d+)"
)
_TIMES = re.compile(
    r"RFC3550 jitter ms: final ([\d.]+) mean ([\d.]+) max ([\d.]+);\s+first-packet-of-frame jitter "
    r"ms final ([\d.]+) max ([\d.]+); max inter-packet gap ([\d.]+) ms"
)
_FRAMES = re.compile(r"markers (\d+) distinct_ts (\d+) fps\(ts\) ([\d.]+)")


def reference(name: str) -> list[dict[str, float]]:
    """What the reference says of each stream of a capture."""
    stem = name.rsplit(".", 1)[0]
    places = [DATA / f"{form}.reference.txt" for form in (name, stem)]
    path = next((place for place in places if place.exists()), None)
    if path is None:
        return []
    lines = path.read_text().splitlines()
    found = []
    for i in range(0, len(lines) - 2, 3):
        counts, frames, times = (
            _COUNTS.search(lines[i]),
            _FRAMES.search(lines[i + 1]),
            _TIMES.search(lines[i + 2]),
        )
        assert counts is not None, path
        assert frames is not None, path
        assert times is not None, path
        keys = ("packets", "unique", "duplicates", "reordered", "expected", "lost")
        one: dict[str, float] = {"ssrc": int(counts[1], 16)}
        for at, key in enumerate((*keys, "lost_unique", "gap_events", "longest_gap"), 2):
            one[key] = int(counts[at])
        one["markers"], one["stamps"], one["fps"] = (
            int(frames[1]),
            int(frames[2]),
            float(frames[3]),
        )
        for at, key in enumerate(
            (
                "jitter_ms",
                "jitter_mean_ms",
                "jitter_max_ms",
                "frame_jitter_ms",
                "frame_jitter_max_ms",
                "delta_max_ms",
            ),
            1,
        ):
            one[key] = float(times[at])
        found.append(one)
    return found


CAPTURES = [
    "lab/udp-h264.pcap",
    "lab/tcp-h264.pcap",
    "lab/tcp-h264-mtu.pcap",
    "lab/udp-h264-loss2pct.pcap",
    "lab/udp-h264-freeze5s.pcap",
    "lab/gst-udp-digest.pcap",
    "lab/gst-udp-basic.pcap",
    "lab/gst-tcp-ffmpeg.pcap",
    "lab/gst-mjpeg-udp.pcap",
    "lab/gst-h265-udp.pcap",
    "lab/gst-udp-tbf300k.pcap",
    "lab/gst-udp-tbf180k.pcap",
    "lab/any-sll2.pcap",
    "lab/mirror-port.pcap",
    "variants/v-nsec.pcap",
    "variants/v-two-ports.pcapng",
    "variants/v-bigendian.pcap",
    "variants/v-vlan20.pcap",
    "variants/v-qinq.pcap",
    "variants/v-sll.pcap",
    "variants/v-raw.pcap",
    "variants/v-udp-reordered.pcap",
    "variants/v-tcp-reordered.pcap",
    "variants/v-cut-midpacket.pcap",
    "variants/v-oneway.pcap",
    "variants/v-rtp-wrap.pcap",
    "variants/v-ssrc-change.pcap",
]


@pytest.mark.oracle
@pytest.mark.parametrize("name", CAPTURES)
def test_streams_are_what_independent_tools_say(name: str) -> None:
    got = metered(capture(name))
    wanted = reference(name)
    assert wanted, "the reference of this capture is missing"
    assert set(got.streams) == {int(one["ssrc"]) for one in wanted}
    for one in wanted:
        row = got.streams[int(one["ssrc"])]
        for key in (
            "packets",
            "expected",
            "lost",
            "lost_unique",
            "duplicates",
            "reordered",
            "gap_events",
            "longest_gap",
            "markers",
        ):
            assert int(row[key]) == one[key], key
        for key in (
            "jitter_ms",
            "jitter_mean_ms",
            "jitter_max_ms",
            "frame_jitter_ms",
            "frame_jitter_max_ms",
            "delta_max_ms",
        ):
            assert row[key] == pytest.approx(one[key], rel=0.01, abs=0.002), key
        # A timestamp that brings parameter sets only is no picture; loss can do that.
        assert one["stamps"] - 2 <= row["frames"] <= one["stamps"]
        if not one["lost"] and name != "variants/v-cut-midpacket.pcap":
            assert row["frames"] == one["stamps"]
        assert row["fps"] == pytest.approx(one["fps"], rel=0.01)


# (pictures, key frames, GOP in frames and seconds, size): what the encoder was told to make.
# `test_pictures_are_those_that_ffprobe_counts` has them counted by another decoder.
FRAMES = {
    "lab/udp-h264.pcap": (331, 12, 30, 2.0, 640, 360),
    "lab/tcp-h264.pcap": (331, 12, 30, 2.0, 640, 360),
    "lab/tcp-h264-mtu.pcap": (181, 7, 30, 2.0, 640, 360),
    "lab/udp-h264-freeze5s.pcap": (391, 14, 30, 2.0, 640, 360),
    "lab/gst-udp-digest.pcap": (119, 4, 30, 2.0, 640, 360),
    "lab/gst-tcp-ffmpeg.pcap": (123, 5, 30, 2.0, 640, 360),
    "lab/gst-h265-udp.pcap": (60, 3, 20, 2.0, 640, 360),
    "lab/gst-mjpeg-udp.pcap": (49, 49, 1, 0.1, 640, 360),
}


@pytest.mark.parametrize("name", FRAMES)
def test_pictures_and_key_frames_are_those_of_the_elementary_stream(name: str) -> None:
    (row,) = metered(capture(name)).streams.values()
    frames, keys, gop, seconds, width, height = FRAMES[name]
    assert (row["frames"], row["keyframes"], row["gop_frames"]) == (frames, keys, gop)
    assert row["gop_s"] == pytest.approx(seconds, rel=1e-3)
    assert (row["width"], row["height"]) == (width, height)


def elementary(path: Path) -> bytes:
    """The H.264 byte stream of a capture's only RTP stream, put together from tshark's fields."""
    order = "tcp.reassemble_out_of_order:TRUE"
    fields = subprocess.run(
        ["tshark", "-r", path, "-o", order, "-Y", "rtp", "-T", "fields", "-e", "rtp.payload"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    out = bytearray()
    for line in fields.split():
        for text in line.split(","):
            payload = bytes.fromhex(text.replace(":", ""))
            kind = payload[0] & 31
            if kind == 24:
                at = 1
                while at + 2 < len(payload):
                    size = int.from_bytes(payload[at : at + 2], "big")
                    out += b"\0\0\0\1" + payload[at + 2 : at + 2 + size]
                    at += 2 + size
            elif kind == 28:
                if payload[1] & 0x80:
                    out += b"\0\0\0\1" + bytes([payload[0] & 0xE0 | payload[1] & 31])
                out += payload[2:]
            else:
                out += b"\0\0\0\1" + payload
    return bytes(out)


@pytest.mark.oracle
@pytest.mark.skipif(not (which("tshark") and which("ffprobe")), reason="needs tshark and ffprobe")
@pytest.mark.parametrize("name", list(FRAMES)[:6])
def test_pictures_are_those_that_ffprobe_counts(name: str, tmp_path: Path) -> None:
    path = capture(name)
    film = tmp_path / "film.264"
    film.write_bytes(elementary(path))
    said = subprocess.run(
        ["ffprobe", "-v", "quiet", "-show_frames", "-of", "json", str(film)],
        capture_output=True,
        check=True,
    ).stdout
    shown = json.loads(said)["frames"]
    (row,) = metered(path).streams.values()
    assert row["frames"] == len(shown)
    assert row["keyframes"] == sum(frame["key_frame"] for frame in shown)


def test_receiver_and_sender_agree_with_us_about_loss() -> None:
    (row,) = metered(capture("lab/udp-h264-loss2pct.pcap")).streams.values()
    assert row["lost"] == 48  # as the nftables rule counted
    # Pictures with a gap inside or at their edge, counted by a script over tshark's fields.
    assert row["damaged_frames"] == 39
    assert 46 <= row["rr_lost"] <= 48  # the receiver's last report came before the end
    assert row["sr_lost"] == 38  # of those sent between the sender's first and last report
    assert row["capture_lost"] == row["camera_dropped"] == 0
    assert row["rtt_ms"] < 1
    assert abs(row["camera_clock_offset_s"]) < 0.01


def test_stopped_server_is_a_backlog_of_five_seconds() -> None:
    got = metered(capture("lab/udp-h264-freeze5s.pcap"))
    (row,) = got.streams.values()
    told = [m for m in got.messages if isinstance(m, StreamFreeze)]
    assert [m.kind for m in told] == ["silence", "backlog"]
    assert len({m.start_ns for m in told}) == 1
    assert told[-1].seconds == pytest.approx(5.0275, abs=0.001)
    assert (row["freezes"], row["lost"], row["stalls_500ms"]) == (1, 0, 1)
    assert row["freeze_longest_s"] == pytest.approx(5.0275, abs=0.001)


def test_healthy_streams_have_no_freeze_and_no_stall() -> None:
    for name in ("lab/udp-h264.pcap", "lab/tcp-h264.pcap", "lab/gst-udp-digest.pcap"):
        (row,) = metered(capture(name)).streams.values()
        assert row["freezes"] == row["stalls_50ms"] == row["damaged_frames"] == 0, name


def test_stream_without_setup_over_udp_is_adopted_from_its_first_packet() -> None:
    (row,) = metered(capture("variants/v-midstream-nosetup.pcap")).streams.values()
    # Truth: packets 300-900 of the parent, counted with tshark -d udp.port==6970,rtp.
    assert (row["packets"], row["expected"], row["lost"]) == (593, 608, 15)
    assert row["signalled"] == 0
    assert STREAM_CODECS[row["codec"]] == "H264"
    assert row["clock_rate"] == 90000
    assert (row["width"], row["height"]) == (640, 360)


def test_interleaved_stream_is_found_in_the_middle_of_a_frame() -> None:
    got = metered(capture("variants/v-tcp-midstream-nosetup.pcap"))
    (row,) = got.streams.values()
    assert (row["packets"], row["lost"], row["transport"]) == (330, 0, 6)
    assert STREAM_CODECS[row["codec"]] == "H264"


def test_segments_that_the_capture_missed_are_no_network_loss() -> None:
    got = metered(capture("variants/v-tcp-captureloss.pcap"))
    (row,) = got.streams.values()
    assert row["expected"] == 780
    assert row["lost"] == row["capture_lost"] <= 16
    assert row["camera_dropped"] == 0
    assert got.table is not None
    assert 1 <= got.table.rtsp_resyncs <= 8
    assert sum(int(part["capture_lost"].sum()) for part in got.seconds) == row["capture_lost"]


def test_copies_of_a_mirror_change_nothing() -> None:
    (row,) = metered(capture("variants/v-mirror-duplicates.pcapng")).streams.values()
    assert (row["packets"], row["lost"], row["duplicates"]) == (425, 0, 0)


def test_headers_are_enough_where_packets_were_cut_short() -> None:
    (row,) = metered(capture("variants/v-snap96.pcapng")).streams.values()
    assert (row["packets"], row["expected"], row["lost"]) == (1511, 1559, 48)
    assert row["frames"] == 361


def test_new_ssrc_is_a_new_stream_of_the_same_session() -> None:
    got = metered(capture("variants/v-ssrc-change.pcap"))
    first, second = sorted(got.streams.values(), key=lambda row: int(row["first_ns"]))
    assert first["session"] == second["session"] > 0
    assert (first["lost"], second["lost"]) == (0, 0)
    assert [m.kind for m in got.messages if isinstance(m, StreamRestart)] == ["ssrc"]


def test_blocked_media_leave_a_session_without_streams() -> None:
    got = metered(capture("lab/gst-udp-blocked.pcap"))
    assert not got.streams
    methods = [m.method for m in got.messages if isinstance(m, RtspMessage) and m.status == 200]
    assert methods[-2:] == ["PLAY", "TEARDOWN"]


def test_wrong_password_is_refused_twice() -> None:
    got = metered(capture("lab/gst-digest-wrongpw.pcap"))
    answers = [m for m in got.messages if isinstance(m, RtspMessage) and not m.from_client]
    assert [m.status for m in answers][-2:] == [401, 401]
    requests = [m for m in got.messages if isinstance(m, RtspMessage) and m.from_client]
    assert [m.auth_sent for m in requests][-2:] == [None, "Digest"]


def test_credentials_never_leave_the_meter() -> None:
    for name in ("lab/gst-udp-basic.pcap", "lab/gst-udp-digest.pcap"):
        got = metered(capture(name))
        raw = capture(name).read_bytes()
        secrets = re.findall(rb"Authorization: Basic (\S+)|response=\"(\w+)\"", raw)
        assert secrets
        text = " ".join(map(str, got.messages))
        for basic, digest in secrets:
            assert (basic or digest).decode() not in text


def test_stream_knows_its_url_and_the_session_its_end() -> None:
    got = metered(capture("lab/udp-h264.pcap"))
    (bound,) = (m for m in got.messages if isinstance(m, StreamBound))
    assert bound.url == "rtsp://192.168.50.10/cam.264/track1"
    assert (bound.media, bound.codec) == ("video", "H264")
    (end,) = (m for m in got.messages if isinstance(m, RtspEnd))
    assert (end.how, end.keepalive_by, end.timeout_s) == ("teardown", "rtcp", 65)


@pytest.mark.parametrize("name", ["lab/udp-h264-loss2pct.pcap", "lab/tcp-h264-mtu.pcap"])
def test_batches_of_any_size_give_the_same_rows(name: str) -> None:
    whole, parts = metered(capture(name)), metered(capture(name), batch=7)
    assert whole.streams.keys() == parts.streams.keys()
    for ssrc, a in whole.streams.items():
        b = parts.streams[ssrc]
        for field_name in a.dtype.names or ():
            if a[field_name].dtype.kind == "f":
                np.testing.assert_allclose(a[field_name], b[field_name], rtol=1e-9)
            else:
                assert np.array_equal(a[field_name], b[field_name]), field_name
    assert list(map(str, whole.messages)) == list(map(str, parts.messages))


WITH_MEDIA = ("open/tau__wilson_h265_rtp_udp.pcap",)


def test_nothing_else_in_the_collection_is_taken_for_media() -> None:
    names = [name for name in captures() if name.startswith("open/") and name not in WITH_MEDIA]
    assert len(names) > 100
    assert [name for name in names if metered(capture(name)).streams] == []


@pytest.mark.parametrize(
    "name", ["open/tau__wilson_h265_rtp_udp.pcap", "crafted/rtp-unannounced.pcapng"]
)
def test_public_captures_without_signalling_are_counted_as_tshark_counts_them(name: str) -> None:
    path = capture(name)
    told = subprocess.run(
        ["tshark", "-r", path, "--enable-heuristic", "rtp_udp", "-q", "-z", "rtp,streams"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    theirs = {
        int(words[6], 16): (int(words[8]), int(words[9]))
        for words in map(str.split, told.splitlines())
        if len(words) > 9 and words[6].startswith("0x")
    }
    ours = {
        ssrc: (int(row["packets"]), int(row["lost"])) for ssrc, row in metered(path).streams.items()
    }
    assert ours.items() <= theirs.items()
    # without signalling eight packets are wanted before a flow counts as media
    assert {ssrc for ssrc, (packets, _) in theirs.items() if packets >= 8} <= ours.keys()
