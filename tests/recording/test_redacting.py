"""`record --redact-evidence`: no secret is in what is kept, however it was cut into segments."""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence
from pathlib import Path

import pytest

from panotui.commands.rehearse import record_capture
from panotui.model import Site
from panotui.recording.redacting import COMMENT, Redactor, tcp_segment
from tests.fuzz.test_costs import ethernet, ip, raw
from tests.sources import made

CAMERA, APPLIANCE = raw("10.20.0.11"), raw("10.20.0.5")
START = 1_790_000_000 * 10**9
SECRET = b"aHVuVGVyMjpodW5UZXIyOnNlY3JldA=="
TEXT = (
    b"DESCRIBE rtsp://10.20.0.11/s1 RTSP/1.0\r\nCSeq: 3\r\nAuthorization: Basic " + SECRET
    + b"\r\nUser-Agent: gst\r\n\r\n"
)  # fmt: skip


def segment(at: int, body: bytes, first: int = 7) -> bytes:
    """A frame of the appliance's side, at a place of its text."""
    number = (first + at) % (1 << 32)
    head = struct.pack("!HHIIBBHHH", 40_000, 554, number, 1, 0x50, 0x18, 65_535, 0, 0)
    return ethernet(0x0800, ip(6, APPLIANCE, CAMERA, head + body))


def kept(frames: Sequence[bytes]) -> list[bytes]:
    redactor = Redactor()
    for frame in frames:
        redactor.redacted(frame)
    return [redactor.redacted(frame) for frame in frames]


@pytest.mark.parametrize("first", [7, (1 << 32) - 60])
@pytest.mark.parametrize("size", [1_400, 60, 23, 9])
def test_a_secret_over_several_segments_is_gone(size: int, first: int) -> None:
    frames = [segment(at, TEXT[at : at + size], first) for at in range(0, len(TEXT), size)]
    written = kept([*frames, frames[-2 if len(frames) > 1 else 0]])  # one comes again
    text = b"".join(frame[54:] for frame in written[:-1])
    assert len(text) == len(TEXT)
    assert SECRET not in text
    assert text.count(b"0" * len(SECRET)) == 1
    name, end = b"Authorization:", TEXT.index(SECRET) + len(SECRET)
    assert text[: TEXT.index(name) + len(name)] == TEXT[: TEXT.index(name) + len(name)]
    assert text[end:] == TEXT[end:]
    assert [len(frame) for frame in written[:-1]] == [len(frame) for frame in frames]
    for frame in written:
        assert not any(SECRET[i : i + 6] in frame for i in range(len(SECRET) - 6))


def test_segments_in_any_order_hold_no_part_of_it() -> None:
    frames = [segment(at, TEXT[at : at + 80]) for at in range(0, len(TEXT), 80)]
    chance = random.Random(3)
    for _ in range(10):
        mixed = [frames[0], *chance.sample(frames[1:], len(frames) - 1)]
        for frame in kept(mixed):
            assert not any(SECRET[i : i + 6] in frame for i in range(len(SECRET) - 6))


def test_frames_without_secrets_are_the_same_objects() -> None:
    frame = segment(0, b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n")
    assert Redactor().redacted(frame) is frame
    for cut in range(len(frame)):
        Redactor().redacted(frame[:cut])
        tcp_segment(frame[:cut])


def test_what_is_remembered_is_bounded() -> None:
    redactor = Redactor()
    for number in range(10_000):
        src = struct.pack("!I", number)
        head = struct.pack("!HHIIBBHHH", 1, 554, 1, 1, 0x50, 0x18, 65_535, 0, 0)
        redactor.redacted(ethernet(0x0800, ip(6, src, CAMERA, head + TEXT)))
    assert len(redactor._flows) <= 4_096


def test_a_recording_keeps_no_secret(tmp_path: Path) -> None:
    frames = [
        made.Frame(segment(at, TEXT[at : at + 70]), START + at * 10**6)
        for at in range(0, len(TEXT), 70)
    ]
    frames.append(made.Frame(segment(len(TEXT), b"x"), START + 3 * 10**9))
    capture = tmp_path / "c.pcap"
    capture.write_bytes(made.pcap(frames))
    for redact in (False, True):
        folder = tmp_path / f"{redact}.panotui"
        record_capture([str(capture)], Site(), "", folder, evidence=True, redact=redact)
        written = b"".join(path.read_bytes() for path in (folder / "evidence").iterdir())
        assert b"DESCRIBE rtsp://10.20.0.11/s1 RTSP/1.0" in written
        found = any(SECRET[i : i + 6] in written for i in range(len(SECRET) - 6))
        assert found is not redact
        assert (COMMENT.encode() in written) is redact
