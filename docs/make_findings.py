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
    "baseline": "Deviations from a baseline",
}
LAYERS = ("", "link", "addressing", "names and time", "transport", "TLS", "application")
HEAD = """# Findings

All findings of Panotui: the condition, the sentence and the action. This file is generated from
`panotui/diagnosis/findings.toml` by `python docs/make_findings.py`; change that file, not this one.

Of related findings the one on the lowest layer is reported, and the others are hidden behind it.
Some findings need a certain view of the traffic. Without it they are withheld, or reported with
less confidence. *Answers*: unicast to and from the host that misses an answer passes here.
*Unicast*: any unicast of that host. *Presence*: no packets were missed by this tool, because the
finding rests on missing packets. *Unbroken*: this tool has captured without a gap lately, because
the finding rests on a sequence of events. *Contents*: frames are not truncated.

*Proved* names a capture with the finding and a healthy one without it
(`tests/situations/matrix.toml`): `situation/` is a builder of `tests/situations`, `met/` of
`tests/diagnosis/met`; `field/` and `capture/` are files of `tests/data`.
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
                f"- Condition: {spec.seen}\n- Sentence: {spec.text}\n- Action: {spec.action}\n"
                f"- Proved: {_proved(matrix.get(name, {}))}\n"
            )
    return "".join(parts)


def _proved(row: dict[str, str]) -> str:
    """The captures with and without the finding."""
    provokes, twin = row.get("provokes", "by nothing yet"), row.get("twin", "")
    if provokes == twin:
        return f"`{provokes}`, which also has the healthy case"
    return f"`{provokes}`; healthy: `{twin}`"


if __name__ == "__main__":
    Path(__file__).with_name("findings.md").write_text(page(), encoding="utf-8")
