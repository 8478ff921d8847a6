"""Many small frames in a segment are counted at once: as if each had been looked at."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from panotui.meter.rtsp.runs import Run

frame = st.tuples(st.integers(0, 3), st.sampled_from([8, 12, 13, 40, 123, 124, 200]))
groups = st.lists(st.tuples(frame, st.integers(1, 40)), min_size=1, max_size=6)


@settings(max_examples=200, deadline=None)
@given(groups=groups, cut=st.integers(0, 300), spoilt=st.none() | st.integers(0, 400))
def test_frames_alike_are_found_as_one_by_one(
    groups: list[tuple[tuple[int, int], int]], cut: int, spoilt: int | None
) -> None:
    stream = bytearray(b"....")
    wanted: list[int] = []
    begins: list[int] = []
    for (channel, length), times in groups:
        for _ in range(times):
            begins.append(len(stream))
            wanted.append(len(stream) << 24 | channel << 16 | length)
            stream += b"$" + bytes([channel]) + length.to_bytes(2, "big") + b"\xa5" * length
    if spoilt is not None and spoilt < len(begins):
        stream[begins[spoilt]] = 0x2B  # where a frame should begin, another byte
    end = max(5, len(stream) - cut)
    run = Run([4], [end], 0)
    found = run.find(memoryview(bytes(stream)))
    whole = [w for w in wanted if (w >> 24) + 4 + (w & 0xFFFF) <= end]
    seen = [b for b in begins if b < end]
    if spoilt is not None and spoilt < len(seen):
        assert not found
        return
    assert found
    assert run.found.tolist() == whole
    assert run.counts == [len(whole)]
    rest = [b for b in seen if b not in {w >> 24 for w in whole}]
    assert run.tail == ((0, rest[0]) if rest else None)
