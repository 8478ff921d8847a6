"""Host names and the patterns that match them: text in, yes or no out.

A pattern is a host name whose labels may be `*` (one or more whole labels) or hold one `*` inside
(`*-ats`: one or more characters of that one label). Matching goes by whole labels, ignores case and
a trailing dot, and compares internationalised names in their ASCII form (IDNA), so that a name that
merely looks alike, starts alike or ends alike never matches.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from functools import lru_cache

LABELS_MAX = 40
NAME_MAX = 253
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?\Z")


@lru_cache(maxsize=65_536)
def canonical_host(text: str) -> str | None:
    """A host name in its canonical form: lower case, ASCII, no trailing dot; an address in the form
    of `ipaddress`. None for invalid text (empty, too long, invalid characters).
    """
    name = text.strip().strip("[]") if text.startswith("[") else text.strip()
    if not name or len(name) > 4 * NAME_MAX:
        return None
    if _is_plain_ipv4(name):
        return name
    if _may_be_address(name):
        try:
            return str(ipaddress.ip_address(name))
        except ValueError:
            pass
    name = name.removesuffix(".")
    if not name.isascii():
        try:
            # the codec maps full-width letters and ideographic dots as a resolver would
            name = name.encode("idna").decode("ascii")
        except UnicodeError:
            return None
    name = name.lower()
    if not name or len(name) > NAME_MAX:
        return None
    labels = name.split(".")
    if len(labels) > LABELS_MAX or not all(len(x) <= 63 and _LABEL.match(x) for x in labels):
        return None
    return name


def _is_plain_ipv4(text: str) -> bool:
    """Whether the text is a dotted quad in the form of `ipaddress`, at the cost of one call."""
    if text.count(".") != 3 or not text.isascii() or "\0" in text:
        return False
    try:
        return socket.inet_ntop(socket.AF_INET, socket.inet_pton(socket.AF_INET, text)) == text
    except OSError:
        return False


def _may_be_address(text: str) -> bool:
    """A cheap test before the expensive parse: IPv4 ends with a digit, IPv6 has colons."""
    return text[-1:].isdigit() or ":" in text


def is_address(host: str) -> bool:
    """True for an IPv4 or IPv6 address as text."""
    if not _may_be_address(host):
        return False
    if _is_plain_ipv4(host):
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


class HostPattern:
    """A compiled pattern; `text` is its form for users."""

    __slots__ = ("_labels", "literal", "text")

    def __init__(self, text: str) -> None:
        """`ValueError` for an invalid pattern."""
        self.text = text
        cleaned = text.strip().removesuffix(".")
        probe = canonical_host(cleaned.replace("*", "x"))
        if probe is None or "**" in cleaned or any(x.count("*") > 1 for x in cleaned.split(".")):
            raise ValueError(f"not a host name or pattern: {text!r}")
        labels: list[str | re.Pattern[str] | None] = []
        if "*" not in cleaned:
            labels = [*probe.split(".")] if not is_address(probe) else [probe]
        else:
            for label in cleaned.lower().split("."):
                if label == "*":
                    labels.append(None)
                elif "*" in label:
                    head, tail = label.split("*")
                    labels.append(re.compile(f"{re.escape(head)}.+{re.escape(tail)}\\Z"))
                else:
                    known = canonical_host(label)
                    assert known is not None
                    labels.append(known)
        if all(x is None for x in labels):
            raise ValueError(f"a pattern must name at least one label: {text!r}")
        self._labels = tuple(labels)
        # specificity: whole fixed labels first, then parts of labels
        self.literal = sum(2 if isinstance(x, str) else 1 if x is not None else 0 for x in labels)

    def __repr__(self) -> str:
        return f"HostPattern({self.text!r})"

    def matches(self, host: str) -> bool:
        """True if the pattern matches `host` (in any spelling)."""
        name = canonical_host(host)
        return name is not None and self.matches_canonical(name)

    def matches_canonical(self, name: str) -> bool:
        """`matches` for a name that is already canonical."""
        if is_address(name):
            return self._labels == (name,)
        return _match(self._labels, tuple(name.split(".")))


def _match(
    pattern: tuple[str | re.Pattern[str] | None, ...],
    labels: tuple[str, ...],
) -> bool:
    """Glob over labels, where None stands for one or more; only the last star ever backtracks."""
    p = h = 0
    star = -1
    star_at = 0
    while h < len(labels):
        want = pattern[p] if p < len(pattern) else ""
        if p < len(pattern) and want is None:
            star, star_at = p, h + 1
            p, h = p + 1, h + 1  # a star takes one label at least
        elif p < len(pattern) and (
            want == labels[h] if isinstance(want, str) else bool(want and want.match(labels[h]))
        ):
            p, h = p + 1, h + 1
        elif star >= 0:
            star_at += 1
            p, h = star + 1, star_at
        else:
            return False
    return p == len(pattern)
