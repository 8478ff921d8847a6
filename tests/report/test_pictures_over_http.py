"""MJPEG that somebody looks at over HTTP is a stream, and says nothing of the camera's sessions."""

from __future__ import annotations

import json
import struct
from pathlib import Path

from click.testing import CliRunner

from panotui.commands.analyze import command
from tests.meter.streams.test_in_other_protocols import pictures


def test_pictures_over_http_are_a_stream_and_no_fault(tmp_path: Path) -> None:
    frames, of = pictures(with_length=True, count=300)
    path = tmp_path / "browser.pcap"
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for i, (frame, k) in enumerate(zip(frames, of, strict=True)):
            time_us = k * 100_000 + i % 20 * 10
            stamp = 1_700_000_000 + time_us // 1_000_000, time_us % 1_000_000
            file.write(struct.pack("<IIII", *stamp, len(frame), len(frame)) + frame)
    done = CliRunner().invoke(command, [str(path), "--json"], catch_exceptions=False)
    answer = json.loads(done.stdout)
    (stream,) = answer["streams"]
    assert (stream["codec"], stream["media"], stream["frames"]) == ("JPEG", "video", 300)
    assert (stream["clock_rate"], stream["jitter_ms"], stream["lost"]) == (None, None, 0)
    assert 9.9 < stream["fps"] < 10.1
    assert answer["cameras"] == []
    assert [f["id"] for f in answer["findings"] if f["severity"] != "info"] == []
