"""Writes docs/findings.md from the findings' data: `python docs/make_findings.py`.

`page()` is the text; a test compares it with the file.
"""

from __future__ import annotations

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
"""


def page() -> str:
    """The whole page."""
    parts = [HEAD]
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
            )
    return "".join(parts)


if __name__ == "__main__":
    Path(__file__).with_name("findings.md").write_text(page(), encoding="utf-8")
