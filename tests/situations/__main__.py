"""Runs situations and prints what is told: `python -m tests.situations [PART OF A NAME] [-v]`."""

from __future__ import annotations

import sys

from tests.situations import SITUATIONS
from tests.situations.situation import short


def main() -> int:
    loud = "-v" in sys.argv
    parts = [a for a in sys.argv[1:] if not a.startswith("-")] or [""]
    bad = 0
    for name, one in SITUATIONS.items():
        if not any(part in name for part in parts):
            continue
        engine = one.watch()
        wrong = list(one.wrong(engine))
        bad += bool(wrong)
        if wrong or loud:
            print(f"== {name}: {one.text}")
            for line in wrong:
                print("   WRONG", line)
        if loud:
            for f in engine.snapshot().findings:
                hidden = f" [hidden by {f.hidden_by}]" if f.hidden_by else ""
                print("  ", short(f) + hidden)
                if f.severity == "info" and "-vv" not in sys.argv:
                    continue
                for line in (*f.detail, f"DO {f.action}"):
                    print("       ", line)
                print("        ", "; ".join(f"{e.packet} {e.text}" for e in f.evidence))
            for v in engine.snapshot().violations:
                print("   VIOLATION", v.severity, v.text)
    print(f"{bad} of {len(SITUATIONS)} wrong")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
