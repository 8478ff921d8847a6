"""The flows of an analysis as JSON, by column: the same text as from `analysis.flow_object`,
faster.

Blocks of flows come in as columns, JSON text of objects and commas goes out. A field is added in
`analysis.flow_object`; here its values are fetched by the same name.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import starmap
from typing import Any

import msgspec
import numpy as np

from panotui.model import I64, SECOND, FlowRecord
from panotui.report.objects import FLOW_TIMES, flow_object, second_text, time_text
from panotui.state.flows import column_text
from panotui.state.flows.records import FlowBlock


@lru_cache(1)
def _object_type() -> type[msgspec.Struct]:
    """A record whose fields are the keys of a flow's object, in order."""
    example = FlowRecord(
        id="", community_id="", port=None, transport="", src="", sport=None, dst="", dport=None,
        first_time_ns=0, last_time_ns=0,
    )  # fmt: skip
    return msgspec.defstruct("_FlowObject", [(key, Any) for key in flow_object(example)], gc=False)


def flow_objects(block: FlowBlock) -> bytes:
    """The objects of a block's flows, separated by commas."""
    made = _object_type()
    columns = (
        _times(block.numbers(FLOW_TIMES[key])) if key in FLOW_TIMES else block.values(key)
        for key in made.__struct_fields__
    )
    return msgspec.json.encode(list(starmap(made, zip(*columns, strict=True))))[1:-1]


def _times(time_ns: I64) -> list[str | None]:
    """`analysis.time_text` for each."""
    seconds, place = np.unique(time_ns // SECOND, return_inverse=True)
    texts = [second_text(second) for second in seconds.tolist()]
    if None in texts:
        return [time_text(value) for value in time_ns.tolist()]
    known = [text for text in texts if text is not None]
    return list(column_text.times(time_ns, known, place))
