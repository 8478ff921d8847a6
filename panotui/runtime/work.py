"""Requests to a process that surveys or meters captures, and its answers."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from panotui.model import (
    Interface,
    MeterSettings,
    SourceCounters,
)
from panotui.runtime.pipe import (
    Ended,
    Failed,
    News,
    Told,
    news_of,
)


class Survey(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a capture, known before any packet of it is metered."""

    file: str
    packets: int
    first_ns: int  # smallest time
    last_ns: int  # largest time
    interfaces: tuple[Interface, ...]
    seconds: bytes  # int64, the whole seconds of packet time (running maximum) with packets
    counters: SourceCounters


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One capture of a meter; `places` maps its interfaces to those of the whole input."""

    file: str
    places: tuple[int, ...]


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """The captures of one meter, one after the other."""

    meter: int
    parts: tuple[Part, ...]
    packets: int


class SurveyWork(msgspec.Struct, frozen=True, kw_only=True, tag="survey"):
    """To a meter process: survey these captures."""

    files: tuple[str, ...]


class MeterWork(msgspec.Struct, frozen=True, kw_only=True, tag="meter"):
    """To a meter process: meter these captures, with ticks at `ticks` (int64 bytes) and at
    `final_ns`.
    """

    orders: tuple[Order, ...]
    interfaces: tuple[Interface, ...]
    ticks: bytes
    final_ns: int
    settings: MeterSettings


class Surveyed(msgspec.Struct, frozen=True, kw_only=True, tag="surveyed"):
    """From a meter process: the requested surveys."""

    surveys: tuple[Survey, ...]


_answers: msgspec.msgpack.Decoder[Told | Surveyed | Failed | Ended] = msgspec.msgpack.Decoder(
    Told | Surveyed | Failed | Ended
)


WORK = msgspec.msgpack.Decoder(SurveyWork | MeterWork)


def decode_answer(
    raw: bytes, interfaces: Sequence[Interface] = ()
) -> News | Surveyed | Failed | Ended:
    """The message of a meter process. msgspec.DecodeError or ValueError for an invalid one."""
    told = _answers.decode(raw)
    return news_of(told, interfaces) if isinstance(told, Told) else told
