"""A column of optional text shared by many flows: one number per slot, and each text once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from panotui.model import I32, Bool
from panotui.model.arrays import distinct
from panotui.model.untouched import untouched

_SWEPT_FROM = 4_096  # texts; with fewer, unused ones are not removed


class NameColumn:
    """(limit,) of `str | None`; None where nothing was written, which takes no memory.

    It reads like an array: a slot gives a text, slots give an array of objects.
    """

    def __init__(self, limit: int) -> None:
        self._code: I32 = untouched(limit, np.int32)
        self._texts: list[str | None] = [None]
        self._codes: dict[str | None, int] = {None: 0}
        self._pool: NDArray[Any] | None = None  # the texts as an array
        self._sweep_at = _SWEPT_FROM

    def __getitem__(self, which: Any) -> Any:
        if isinstance(which, int | np.integer):
            return self._texts[self._code[which]]
        return self._as_array()[self._code[which]]

    def __setitem__(self, which: Any, value: str | None) -> None:
        """Write one text to a slot or to several slots."""
        code = self._code_of(value)
        self._put(which, np.int32(code))

    def choose(self, slots: NDArray[Any], texts: Sequence[str | None], index: Any) -> None:
        """Write to each slot the text of `texts` with its `index` (n,); -1 is the last."""
        if len(self._texts) > self._sweep_at:
            self._sweep()
        codes = np.fromiter(map(self._code_of, texts), np.int32, len(texts))
        self._put(slots, codes[index])

    def equals(self, value: str | None) -> Bool:
        """(limit,) mask of slots with this text."""
        out: Bool = self._code == self._codes.get(value, -1)
        return out

    def _put(self, which: Any, code: Any) -> None:
        """A zero is not written over a zero: it would take memory."""
        if np.any(code) or self._code[which].any():
            self._code[which] = code

    def _code_of(self, text: str | None) -> int:
        code = self._codes.get(text)
        if code is None:
            code = self._codes[text] = len(self._texts)
            self._texts.append(text)
            self._pool = None
        return code

    def _as_array(self) -> NDArray[Any]:
        if self._pool is None:
            self._pool = np.array(self._texts, object)
        return self._pool

    def _sweep(self) -> None:
        """Remove texts that no slot uses any more."""
        used = distinct(np.append(self._code, np.int32(0)))
        place = np.zeros(len(self._texts), np.int32)
        place[used] = np.arange(len(used))
        filled = np.flatnonzero(self._code)
        self._code[filled] = place[self._code[filled]]
        self._texts = [self._texts[code] for code in used.tolist()]
        self._codes = {text: code for code, text in enumerate(self._texts)}
        self._pool = None
        self._sweep_at = max(_SWEPT_FROM, 2 * len(self._texts))
