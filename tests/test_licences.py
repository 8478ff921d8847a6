"""Licences of all installed distributions, against what GPL-2.0-only allows to be loaded with it.

What the program loads must be compatible with GPL-2.0-only; tools of developers, which run beside
it as programs of their own, need only be free. A distribution that does not say its licence fails:
look it up, and give it a line in `SAID_ELSEWHERE` with where it is said.
"""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Iterator

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

# Of these the Free Software Foundation says that they are compatible with GPL version 2.
COMPATIBLE = {
    "0BSD", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "GPL-2.0-only", "GPL-2.0-or-later", "HPND",
    "ISC", "LGPL-2.1-only", "LGPL-2.1-or-later", "MIT", "MIT-0", "PSF-2.0", "Unlicense", "Zlib",
}  # fmt: skip
# Free, but not to be loaded with GPL-2.0-only.
TOOLS_ONLY = {"Apache-2.0", "GPL-3.0-only", "LGPL-3.0-only", "LGPL-3.0-or-later", "MPL-2.0"}
# What older metadata writes in words.
WORDS = {
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "bsd": "BSD-3-Clause",
    "bsd license": "BSD-3-Clause",
    "3-clause bsd license": "BSD-3-Clause",
    "bsd 2-clause license": "BSD-2-Clause",
    "gnu lesser general public license v3 (lgplv3)": "LGPL-3.0-only",
    "gpl-3.0": "GPL-3.0-only",
    "isc license (iscl)": "ISC",
    "mit license": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "python software foundation license": "PSF-2.0",
}
SAID_ELSEWHERE: dict[str, str] = {
    "python-dateutil": "Apache-2.0 OR BSD-3-Clause",  # its LICENSE
}
INSTALLED = {
    canonicalize_name(one.metadata["Name"]): one for one in importlib.metadata.distributions()
}


def expression(distribution: importlib.metadata.Distribution) -> str:
    """Its licence as an SPDX expression; empty when it says none."""
    metadata = distribution.metadata
    name = canonicalize_name(metadata["Name"])
    classifiers = [
        line.rpartition("::")[2].strip()
        for line in metadata.get_all("Classifier") or ()
        if line.startswith("License ::") and line.rpartition("::")[2].strip() != "OSI Approved"
    ]
    field = (metadata.get("License") or "").strip()
    said = SAID_ELSEWHERE.get(name) or metadata.get("License-Expression") or ""
    if said:
        return said
    if field and "\n" not in field and len(field) < 60:
        return WORDS.get(field.lower(), field)
    return " AND ".join(WORDS.get(line.lower(), line) for line in classifiers)


def is_allowed(spdx: str, allowed: set[str]) -> bool:
    """Whether one may choose among what an expression offers so that all of it is allowed."""
    tokens = re.findall(r"\(|\)|[^\s()]+", spdx)

    def either() -> bool:
        found = both()
        while tokens and tokens[0].upper() == "OR":
            tokens.pop(0)
            found = both() or found
        return found

    def both() -> bool:
        found = one()
        while tokens and tokens[0].upper() == "AND":
            tokens.pop(0)
            found = one() and found
        return found

    def one() -> bool:
        token = tokens.pop(0) if tokens else ""
        if token == "(":
            found = either()
            if tokens:
                tokens.pop(0)
            return found
        while tokens and tokens[0].upper() == "WITH":  # an exception only adds rights
            del tokens[:2]
        return token in allowed

    return bool(tokens) and either() and not tokens


def needed(name: str, extra: str = "") -> Iterator[str]:
    """What a distribution needs here, all of it, itself included."""
    seen: set[str] = set()
    waiting = [(name, extra)]
    while waiting:
        name, extra = waiting.pop()
        name = canonicalize_name(name)
        if name in seen or name not in INSTALLED:
            continue
        seen.add(name)
        yield name
        for line in INSTALLED[name].requires or ():
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                waiting += [(requirement.name, one) for one in ("", *requirement.extras)]


LOADED = sorted(needed("panotui"))


@pytest.mark.parametrize("name", LOADED)
def test_what_the_program_loads_may_be_loaded_with_gpl_2(name: str) -> None:
    said = expression(INSTALLED[name])
    assert is_allowed(said, COMPATIBLE), f"{name}: {said or 'no licence is said'}"


@pytest.mark.parametrize("name", sorted(set(INSTALLED) - set(LOADED)))
def test_every_tool_is_free(name: str) -> None:
    said = expression(INSTALLED[name])
    assert is_allowed(said, COMPATIBLE | TOOLS_ONLY), f"{name}: {said or 'no licence is said'}"


def test_what_is_loaded_is_found_through_all_that_needs_it() -> None:
    assert {"panotui", "numpy", "textual", "rich", "typing-extensions", "scapy"} <= set(LOADED)
    assert "pytest" not in LOADED


@pytest.mark.parametrize(
    ("said", "is_well"),
    [
        ("MIT", True),
        ("Apache-2.0", False),
        ("Apache-2.0 OR BSD-3-Clause", True),
        ("MIT AND Apache-2.0", False),
        ("(MIT OR Apache-2.0) AND PSF-2.0", True),
        ("GPL-3.0-only", False),
        ("GPL-2.0-only WITH Classpath-exception-2.0", True),
        ("Proprietary", False),
        ("", False),
    ],
)
def test_a_choice_needs_one_way_and_a_sum_all(said: str, is_well: bool) -> None:
    assert is_allowed(said, COMPATIBLE) is is_well
