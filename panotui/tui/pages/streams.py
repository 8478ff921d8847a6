"""The streams pane: every camera stream with its most important numbers.

Cameras without a stream are shown above the others, with the reason.
"""

from __future__ import annotations

from collections.abc import Sequence

from panotui.model import CameraRecord, StreamRecord
from panotui.model.quantities import UNKNOWN, counted
from panotui.tui.cells import distinct
from panotui.tui.chart import sparkline
from panotui.tui.glyphs import Look, Role, look, role, trouble
from panotui.tui.line import Span
from panotui.tui.page import Scene
from panotui.tui.quantities import milliseconds, number, percent, since
from panotui.tui.table import Column, Table
from panotui.views.frames import Frame
from panotui.views.words import state_word

Row = StreamRecord | CameraRecord
_NONE: Span = (UNKNOWN, "dim")

_CODECS = {"H264": "H264", "H.264": "H264", "H265": "H265", "H.265": "H265", "JPEG": "MJPEG"}


def codec(name: str | None) -> str:
    return UNKNOWN if not name else _CODECS.get(name.upper(), name)


def size(stream: StreamRecord) -> str:
    return f"{stream.width}x{stream.height}" if stream.width and stream.height else UNKNOWN


def look_of(row: Row) -> Look:
    return look(row.standing, camera=isinstance(row, CameraRecord))


_SHORT_STATES = {"unreachable": "no reply", "connecting": "connect"}


def _state(row: Row, scene: Scene, cells: int) -> str:
    word = state_word(row)
    return word if len(word) <= cells else _SHORT_STATES.get(row.state, row.state)


def _name(row: Row, scene: Scene) -> str:
    if isinstance(row, CameraRecord):
        return scene.manner.named(row.name, row.address)
    return scene.manner.named(row.camera, row.src)


def _camera(row: Row, scene: Scene, cells: int) -> str:
    rows: tuple[Row, ...] = (*scene.frame.cameras, *scene.frame.streams)
    names = {_name(r, scene) for r in rows}
    return distinct(tuple(sorted(names)), cells, scene.glyphs.ellipsis)[_name(row, scene)]


def jitter_ms(stream: StreamRecord) -> float | None:
    """The jitter to judge by: per frame if it is known (bursts of packets are normal)."""
    return stream.frame_jitter_ms if stream.frame_jitter_ms is not None else stream.jitter_ms


def fps_short(stream: StreamRecord) -> bool:
    """Clearly fewer frames than expected."""
    if stream.fps_now is None or not stream.fps_expected:
        return False
    return stream.fps_now < 0.9 * stream.fps_expected


def fps_pair(row: Row, scene: Scene) -> Span:
    """Frames per second now / expected, `!` if they differ."""
    expected = number(row.fps_expected) if row.fps_expected else UNKNOWN
    if isinstance(row, CameraRecord):
        return (f"{UNKNOWN}/{expected}", "dim") if row.fps_expected else _NONE
    if row.media not in (None, "video"):
        return _NONE
    text = f"{number(row.fps_now, 1)}/{expected}"
    if fps_short(row):
        return doubted(row, f"{text}{scene.glyphs.warn}"), "warn"
    return doubted(row, text), "plain"


def doubted(row: Row, text: str) -> str:
    """`text` with a `?` if this tool itself missed packets that affect the number."""
    unsure = isinstance(row, StreamRecord) and row.uncertain and text != UNKNOWN
    return f"{text}?" if unsure else text


def loss_of(stream: StreamRecord, scene: Scene) -> Span:
    """Loss of the last half minute."""
    text = percent(stream.loss_now)
    role_: Role = "plain"
    if stream.loss_now is None:
        role_ = "dim"
    elif stream.loss_now > 0:
        text += scene.glyphs.warn
        role_ = "bad" if stream.loss_now >= 0.01 else "warn"
    return doubted(stream, text), role_


def _if_stream(row: Row, text: str) -> Span:
    return (text, "plain") if isinstance(row, StreamRecord) and text != UNKNOWN else _NONE


def _spark(row: Row, scene: Scene, cells: int) -> str:
    if isinstance(row, CameraRecord):
        return ""
    return sparkline(row.history_bps, cells, scene.glyphs)


def _heading(scene: Scene) -> Sequence[Span]:
    counts = scene.frame.header.counts
    if not counts.streams:
        return [("none", "dim")]
    all_well = counts.streams_ok == counts.streams
    text = f"{counts.streams_ok} of {counts.streams} well"
    if counts.cameras_unseen:
        text += f", {counted(counts.cameras_unseen, 'camera')} not seen"
    return [(text, "ok" if all_well else "warn")]


def lone_cameras(frame: Frame) -> Sequence[CameraRecord]:
    """Cameras without a stream, dead ones first; unrequested ones only while no stream has a
    problem: a frozen picture matters more than an unseen camera.
    """
    lone = [camera for camera in frame.cameras if not camera.streams]
    lone.sort(key=lambda camera: trouble(look_of(camera)))
    if any(look_of(stream) in ("bad", "warn") for stream in frame.streams):
        lone = [camera for camera in lone if look_of(camera) != "unknown"]
    return lone


def _copy(row: Row) -> str:
    if isinstance(row, CameraRecord):
        return f"{row.name} {row.address} {row.state} {row.state_text or ''}".strip()
    return f"{row.camera or row.src} {row.url or ''} ssrc {row.ssrc} {row.state}"


TABLE = Table(
    pane="streams",
    record=StreamRecord,
    kind="stream",
    rows=lambda frame: frame.streams,
    fixed=lone_cameras,
    fixed_kind="camera",
    heading=_heading,
    own_sort="state",
    empty="No camera stream seen yet.",
    copy=_copy,
    columns=(
        Column("", 1, lambda r, s: s.mark(look_of(r))),
        Column("CAMERA", 8, lambda r, s: ("", "strong"), "camera", most=40, by_width=_camera),
        Column("STREAM", 6, lambda r, s: _if_stream(r, getattr(r, "media", None) or UNKNOWN),
               most=8, drop=5),
        Column("CODEC", 5, lambda r, s: _if_stream(r, codec(getattr(r, "codec", None))), "codec",
               most=6),
        Column("SIZE", 9, lambda r, s: _if_stream(
            r, size(r) if isinstance(r, StreamRecord) else UNKNOWN), drop=3),
        Column("FPS/EXP", 8, fps_pair, "fps", right=True),
        Column("Mb/s", 5, lambda r, s: _if_stream(
            r, doubted(r, s.mega(getattr(r, "rate_bps", None)))), "rate", right=True, most=6,
               biggest_first=True),
        Column("", 4, lambda r, s: ("", "chart"), most=40, drop=4, by_width=_spark),
        Column("LOSS", 7, lambda r, s: loss_of(r, s) if isinstance(r, StreamRecord) else _NONE,
               "loss", right=True, biggest_first=True),
        Column("JIT ms", 6, lambda r, s: _if_stream(
            r, doubted(r, milliseconds(jitter_ms(r))) if isinstance(r, StreamRecord) else UNKNOWN),
            "jitter",
            right=True, drop=2, biggest_first=True),
        Column("STATE", 8, lambda r, s: ("", role(look_of(r))), "state", most=12, by_width=_state,
               late=True),
        Column("BY", 3, lambda r, s: _if_stream(r, getattr(r, "transport", UNKNOWN)), drop=6),
        Column("GOP s", 5, lambda r, s: _if_stream(r, number(getattr(r, "gop_s", None), 1)),
               right=True, drop=8),
        Column("LOST", 6, lambda r, s: _if_stream(
            r, doubted(r, str(r.lost_unique)) if isinstance(r, StreamRecord) else UNKNOWN),
            right=True, drop=7),
        Column("FREEZES", 7, lambda r, s: _if_stream(
            r, str(len(r.freezes)) if isinstance(r, StreamRecord) else UNKNOWN), right=True,
            drop=9),
        Column("SINCE", 6, lambda r, s: (since(r.standing_since_ns, s.now_ns), "dim"), right=True,
               drop=10),
        Column("ADDRESS", 15, lambda r, s: (
            r.address if isinstance(r, CameraRecord) else r.src, "dim"), most=39, drop=11),
    ),
)  # fmt: skip
