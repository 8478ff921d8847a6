"""`python -m tests.field [--only PATTERN]`: a line for each failed check, then the sum.

Exit 1 unless all cases chosen are right. `--settle` takes those that are right off `pending.toml`.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from multiprocessing import Pool

from tests.field.cases import chosen, name, pending, run, take_off


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.field", description="The field cases.")
    parser.add_argument(
        "--only", metavar="PATTERN", help="part of a file name or kind, or a shell pattern"
    )
    parser.add_argument("-j", type=int, default=1, metavar="N", help="so many at a time")
    parser.add_argument("--kinds", action="store_true", help="also a line for each kind")
    parser.add_argument(
        "--settle", action="store_true", help="take cases that are right off pending.toml"
    )
    asked = parser.parse_args()
    cases = chosen(asked.only)
    right: set[str] = set()
    passed = total = 0
    kinds: Counter[str] = Counter()
    with Pool(max(1, asked.j)) as pool:
        for case, results in zip(cases, pool.imap(run, cases), strict=True):
            wrong = [check for check in results if not check.right]
            for check in wrong:
                print(f"{name(case)}: {check}", flush=True)
            if not wrong:
                right.add(name(case))
                kinds[case["kind"]] += 1
            passed += len(results) - len(wrong)
            total += len(results)
    if asked.kinds:
        for kind, number in sorted(Counter(case["kind"] for case in cases).items()):
            print(f"  {kind}: {kinds[kind]} of {number}")
    if asked.settle:
        take_off(right)
    elif settled := sorted(right & set(pending())):
        print(f"right, yet in pending.toml (--settle takes them off): {', '.join(settled)}")
    print(f"field: {len(right)} of {len(cases)} cases right ({passed} of {total} checks)")
    return 0 if cases and len(right) == len(cases) else 1


if __name__ == "__main__":
    sys.exit(main())
