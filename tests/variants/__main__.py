"""`python -m tests.variants [CHANGE ...] [--only PART] [--step N]`: what is told otherwise.

Each case in each change of `changes.py`, or in those named (by how they begin); then the sums.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter

from tests.variants.cases import cases, told_by
from tests.variants.changes import CHANGES
from tests.variants.frames import pcap
from tests.variants.told import told, wrong


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.variants", description=__doc__)
    parser.add_argument("changes", nargs="*", metavar="CHANGE", default=[""])
    parser.add_argument("--only", metavar="PART", default="", help="of a case's name")
    parser.add_argument("--step", type=int, default=1, metavar="N", help="each Nth case")
    asked = parser.parse_args()
    chosen = [c for c in CHANGES.values() if any(map(c.name.startswith, asked.changes))]
    differs: Counter[str] = Counter()
    pairs = 0
    for case in [case for case in cases() if asked.only in case.name][:: asked.step]:
        shots, site = case.shots(), case.site()
        before = told(told_by(pcap(shots), site))
        for change in [change for change in chosen if change.fits(site)]:
            pairs += 1
            engine = told_by(change.write(change.packets(shots)), change.site(site))
            found = wrong(change, before, told(engine, change.back))
            if found:
                differs[change.name] += 1
                print(f"{change.name} {case.name}", *found, sep="\n    ", flush=True)
    sums = ", ".join(f"{name} {number}" for name, number in differs.most_common())
    print(f"{sum(differs.values())} of {pairs} pairs differ: {sums}")
    return 1 if differs else 0


if __name__ == "__main__":
    sys.exit(main())
