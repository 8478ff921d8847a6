"""The only function that turns bytes from the wire into text: printable, one line, bounded.

Bytes (read as UTF-8) or text from a dissector come in. The result is a `str` that cannot control a
terminal, break a line, hide itself or reverse its neighbours: every invisible character is written
as a readable escape (`\\x1b`, `\\u202e`), and text that is too long ends in an ellipsis.
"""

from __future__ import annotations

import unicodedata

ELLIPSIS = "…"
MARKS_IN_A_ROW = 2  # combining marks kept on one letter; more only pile up over other lines

_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\0"}
# Printable in Unicode, but drawn as nothing: Hangul fillers, the blank Braille cell, and marks that
# only affect how neighbours join.
_BLANKS = frozenset("\u115f\u1160\u3164\uffa0\u2800\u034f\u17b4\u17b5")


def printable(raw: bytes | bytearray | memoryview | str, limit: int = 200) -> str:
    """Text from the wire, safe to show, log and store; at most `limit` characters.

    Kept: all printable characters of Unicode, plain space, and up to two combining marks per
    letter. Written as an escape: C0 and C1 controls, bytes that are not UTF-8, lone surrogates,
    bidirectional controls, zero-width and other format characters, variation selectors, private use
    and unassigned characters, blanks other than U+0020. Longer results end in an ellipsis. The
    function changes nothing in its own results: `printable(printable(x)) == printable(x)`.
    """
    if limit < 1:
        return ""
    if not isinstance(raw, str):
        # No character takes more than four bytes, so later bytes cannot be shown anyway.
        cut = len(raw) > 4 * limit + 4
        text = bytes(raw[: 4 * limit + 4]).decode("utf-8", "surrogateescape")
    else:
        cut = len(raw) > limit
        text = raw[: limit + 1]
    if not (text.isascii() and text.isprintable()):
        text = _escaped(text[: limit + 1])
    if len(text) > limit or cut:
        return text[: limit - 1] + ELLIPSIS
    return text


def _escaped(text: str) -> str:
    out: list[str] = []
    marks = MARKS_IN_A_ROW  # a mark without a letter before it has nothing to attach to
    for character in text:
        if " " <= character <= "~":
            out.append(character)
            marks = 0 if character != " " else MARKS_IN_A_ROW
        elif not character.isprintable() or character in _BLANKS or _is_selector(character):
            out.append(_escape(character))
            marks = MARKS_IN_A_ROW
        elif unicodedata.category(character)[0] == "M":
            if marks >= MARKS_IN_A_ROW:
                out.append(_escape(character))
                marks = MARKS_IN_A_ROW
            else:
                out.append(character)
                marks += 1
        else:
            out.append(character)
            marks = 0
    return "".join(out)


def _is_selector(character: str) -> bool:
    code = ord(character)
    return 0xFE00 <= code <= 0xFE0F or 0xE0100 <= code <= 0xE01EF or 0x180B <= code <= 0x180F


def _escape(character: str) -> str:
    short = _SHORT.get(character)
    if short is not None:
        return short
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8 (surrogateescape)
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def writable(name: str) -> str:
    """A file's name as UTF-8 can write it: a byte in it that is not UTF-8 becomes its escape."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
