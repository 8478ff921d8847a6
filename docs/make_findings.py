"""Writes docs/findings.md from the findings' data: `python docs/make_findings.py`.

`page()` is the text; a test compares it with the file.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

from panotui.diagnosis.catalogue import catalogue

GROUPS = {
    "link": "Link and Ethernet",
    "names-time": "Addressing, DNS, time",
    "cloud": "Cloud",
    "cameras": "Cameras and streams",
    "security": "Security",
    "baseline": "Unlike what was learnt",
}
LAYERS = ("", "link", "addressing", "names and time", "transport", "TLS", "application")
HEAD = """# Findings

What Panotui can diagnose: what is seen, what it says, what to do. Made from
`panotui/diagnosis/findings.toml` by `python docs/make_findings.py`; change that file, not this one.

Of findings that hang together the one on the lowest layer is told and the others are hidden behind
it. *Needs answers*: unicast towards and from the host that misses an answer passes here, both ways;
*unicast*: any of that host; *presence*: it rests on absence, so packets that this tool missed make
it doubtful; *unbroken*: it rests on what came one after the other, and this tool has seen all of
it lately; *contents*: frames are not cut short. Otherwise it is withheld, or told with less
confidence.

*Proved* names the capture that provokes a finding and a healthy one that does not
(`tests/situations/matrix.toml`): `situation/` is a builder of `tests/situations`, `met/` of
`tests/diagnosis/met`; `field/` and `capture/` are files of `tests/data`; `wire/` and `lab/` are
tests of `tests/diagnosis` and `tests/lab` that build both.
"""


MATRIX = Path(__file__).parents[1] / "tests" / "situations" / "matrix.toml"


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    matrix = tomllib.loads(MATRIX.read_text(encoding="utf-8"))
    for group, title in GROUPS.items():
        parts.append(f"\n## {title}\n")
        for name, spec in catalogue().items():
            if spec.group != group:
                continue
            facts = [spec.severity, f"layer {spec.layer} ({LAYERS[spec.layer]})", spec.confidence]
            if spec.needs:
                facts.append(f"needs {', '.join(spec.needs)}")
            parts.append(
                f"\n### {name}\n\n{', '.join(facts)}\n\n"
                f"- Seen: {spec.seen}\n- Says: {spec.text}\n- Do: {spec.action}\n"
                f"- Proved: {_proved(matrix.get(name, {}))}\n"
            )
    return "".join(parts)


def _proved(row: dict[str, str]) -> str:
    """Where it is told, and where it is not."""
    provokes, twin = row.get("provokes", "by nothing yet"), row.get("twin", "")
    if provokes == twin:
        return f"`{provokes}`, with its twin"
    return f"`{provokes}`; not by its twin `{twin}`"


if __name__ == "__main__":
    Path(__file__).with_name("findings.md").write_text(page(), encoding="utf-8")
