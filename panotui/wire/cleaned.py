"""Makes all text of a decoded record printable, for records from a socket or a recording.

Text of our own meters has already been through `printable`; a peer on a socket or a folder from
elsewhere may hold anything. Text is therefore made printable once, where it is decoded, and no room
above needs to know where a record came from. Text that is already printable stays the same object.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Literal, TypeVar, get_args, get_origin

import msgspec

from panotui.wire.text import printable

T = TypeVar("T")
_ESCAPED_MOST = 10  # characters that one character can expand to: `\\U0010ffff`


def cleaned(value: T) -> T:
    """`value` with all its text made printable; records, tuples, lists and dicts are walked.

    A record without such text is returned unchanged. The depth is that of the decoded type, so it
    is bounded.
    """
    return _cleaned(value)  # type: ignore[no-any-return]


def clean_text(text: str) -> str:
    """Text from another's file or socket made printable, of any length."""
    if text.isascii() and text.isprintable():
        return text
    return printable(text, _ESCAPED_MOST * len(text) + 1)


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, msgspec.Struct):
        changed: dict[str, Any] = {}
        for name in _fields_with_text(type(value)):
            old = getattr(value, name)
            new = _cleaned(old)
            if new is not old:
                changed[name] = new
        return msgspec.structs.replace(value, **changed) if changed else value
    if isinstance(value, tuple | list):
        items = [_cleaned(item) for item in value]
        if all(new is old for new, old in zip(items, value, strict=True)):
            return value
        return type(value)(items)
    if isinstance(value, dict):
        pairs = {_cleaned(key): _cleaned(item) for key, item in value.items()}
        same = all(pairs.get(key) is item for key, item in value.items())
        return value if same and len(pairs) == len(value) else pairs
    return value


@cache
def _fields_with_text(kind: type[msgspec.Struct]) -> tuple[str, ...]:
    """The fields of a record that can hold text, except those limited to known words."""
    return tuple(f.name for f in msgspec.structs.fields(kind) if _may_hold_text(f.type))


def _may_hold_text(annotation: Any) -> bool:
    if annotation is str or annotation is Any or annotation is object:
        return True
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return True
    if get_origin(annotation) is Literal:
        return False  # the decoder has rejected all other words
    return any(_may_hold_text(argument) for argument in get_args(annotation))
