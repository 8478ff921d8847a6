"""Control packets that only repeat what was said and read before."""

from __future__ import annotations

import numpy as np

from panotui.meter.control.kinds import kinds_of
from panotui.meter.restated import WITHIN_NS, Restated
from panotui.model import SECOND
from panotui.wire.decode import Decoder
from tests.diagnosis.wire import CLOUD, ETH1, GATEWAY, ROUTER_MAC, arp_packet
from tests.meter.flows.test_flood import batch as batch_of

ASKS = arp_packet(1, ETH1, CLOUD, GATEWAY)
ANSWERS = arp_packet(2, ROUTER_MAC, GATEWAY, CLOUD, dst=ETH1)
MOVED = arp_packet(2, "02:00:00:00:0b:01", GATEWAY, CLOUD, dst=ETH1)


def news(known: Restated, frames: list[bytes], at: list[float], *, keep: bool = True) -> int:
    """The first of these frames that is news."""
    size = max(map(len, frames))
    table = np.frombuffer(b"".join(f.ljust(size, b"\0") for f in frames), np.uint8)
    batch = batch_of(table.reshape(len(frames), size), (np.array(at) * SECOND).astype(np.int64), 1)
    columns, _ = Decoder().read(batch)
    kinds = kinds_of(columns, None)
    first = known.news(batch, columns, kinds, np.arange(len(frames)))
    if keep:
        known.note(batch, columns, kinds)
    return first


def twice() -> Restated:
    known = Restated()
    assert news(known, [ASKS, ANSWERS], [1.0, 1.1]) == 0
    assert news(known, [ASKS, ANSWERS], [2.0, 2.1]) == 0
    return known


def test_what_came_twice_is_no_news() -> None:
    assert news(twice(), [ASKS, ANSWERS], [3.0, 3.1]) == 2


def test_another_answer_is_news() -> None:
    assert news(twice(), [ASKS, ANSWERS, ASKS, MOVED], [3.0, 3.1, 4.0, 4.1]) == 2


def test_a_question_without_its_answer_in_that_second_is_news() -> None:
    assert news(twice(), [ASKS, ANSWERS, ASKS], [3.0, 3.1, 4.0]) == 2
    assert news(twice(), [ASKS, ANSWERS], [3.9, 4.1]) == 0


def test_an_answer_after_vain_questions_is_news() -> None:
    known = twice()
    assert news(known, [ASKS], [3.0]) == 0
    assert news(known, [ASKS, ANSWERS], [4.0, 4.1]) == 0
    assert news(known, [ASKS, ANSWERS], [5.0, 5.1]) == 2


def test_what_was_not_said_for_long_is_news_again() -> None:
    late = 3.0 + WITHIN_NS / SECOND
    known = twice()
    assert news(known, [ASKS, ANSWERS], [late, late + 0.1]) == 0
    assert news(known, [ASKS, ANSWERS], [late + 1, late + 1.1]) == 0
    assert news(known, [ASKS, ANSWERS], [late + 2, late + 2.1]) == 2
