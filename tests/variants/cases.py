"""What is varied: the field cases and the situations, each with the truth of it."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from panotui.commands.input import analysed
from panotui.engine.engine import Engine
from panotui.model import Site
from panotui.report.analysis import analysis
from panotui.site.file import parse_site
from tests.field.cases import FOLDER, all_cases
from tests.field.checks import checks
from tests.situations import SITUATIONS
from tests.variants.frames import Shot, unpacked


@dataclass(frozen=True)
class Case:
    """`wrong` says what an engine that has seen the packets tells against the truth."""

    name: str
    shots: Callable[[], list[Shot]]
    site: Callable[[], Site]
    wrong: Callable[[Engine], list[str]]


def told_by(content: bytes, site: Site) -> Engine:
    """What a program is that has read a capture file with these bytes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "variant.pcap"
        path.write_bytes(content)
        return analysed([str(path)], site)


def cases() -> Iterator[Case]:
    """The field cases, then the situations that a file can tell."""
    for name, case in all_cases().items():
        yield Case(
            f"field/{name}",
            functools.partial(unpacked, FOLDER / case["file"]),
            functools.partial(_site, case.get("site")),
            lambda engine, case=case: [  # type: ignore[misc]
                str(check) for check in checks(case, analysis(engine)) if not check.right
            ],
        )
    for name, one in SITUATIONS.items():
        if one.live or one.readings or one.missed or one.baseline:
            continue
        yield Case(
            f"situation/{name}",
            lambda one=one: [  # type: ignore[misc]
                Shot(t, frame, wire)
                for t, _, frame, wire in sorted(one.build().frames, key=lambda f: f[0])
            ],
            one.site,
            lambda engine, one=one: list(one.wrong(engine)),  # type: ignore[misc]
        )


def _site(file: str | None) -> Site:
    return parse_site((FOLDER / file).read_text("utf-8")) if file else Site()
