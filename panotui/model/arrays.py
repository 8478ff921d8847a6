"""Types of columns, and the second in nanoseconds."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

U8: TypeAlias = NDArray[np.uint8]


U16: TypeAlias = NDArray[np.uint16]


U32: TypeAlias = NDArray[np.uint32]


U64: TypeAlias = NDArray[np.uint64]


I16: TypeAlias = NDArray[np.int16]


I32: TypeAlias = NDArray[np.int32]


I64: TypeAlias = NDArray[np.int64]


F64: TypeAlias = NDArray[np.float64]


Bool: TypeAlias = NDArray[np.bool_]


Rows: TypeAlias = NDArray[Any]  # a structured array; the dtype is named where it is used


SECOND = 1_000_000_000
