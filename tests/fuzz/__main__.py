"""Fuzzing for as long as wished: `python -m tests.fuzz [MINUTES] [FOLDER] [SEED]`.

Captures of the corpus and floods of every shape are damaged and analysed, and all is written that
can be; recordings are damaged and asked everything. What raises is kept in FOLDER with its trace;
Ctrl-C ends it earlier. What it finds belongs into `tests/data/variants`, with a row in
`tests/data/index.toml`: `test_analyses` reads every capture that is named there.
"""

from __future__ import annotations

import contextlib
import random
import struct
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import numpy as np

from panotui.errors import InputError
from panotui.model import SECOND
from panotui.recording import parts
from panotui.recording.reader import Recording
from tests.captures import DATA, captures
from tests.fuzz.test_analyses import damaged, told_in_every_form
from tests.fuzz.test_costs import FLOODS, START
from tests.recording.test_damage import everything, plain
from tests.recording.test_recording import record

LARGEST = 2_000_000  # bytes of a capture: many small ones find more


def flood(chance: random.Random) -> bytes:
    """A capture with some hundred packets of several floods, in turns."""
    makers = chance.sample(FLOODS, chance.randint(1, 3))
    out = struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65_535, 1)
    at = START
    first = chance.randrange(1 << 20)
    for n in range(chance.randint(50, 600)):
        frame = chance.choice(makers)(first + n, chance)
        at += chance.choice((1_000, 10**6, 10**8))
        out += struct.pack("<IIII", at // SECOND, at % SECOND, len(frame), len(frame)) + frame
    return out


def analysed(folder: Path, raw: bytes) -> None:
    path = folder / "fuzzed.cap"
    path.write_bytes(raw)
    try:
        told_in_every_form(path, folder / "csv")
    except InputError:
        pass


def read(folder: Path, raw: bytes) -> None:
    place = folder / "fuzzed.panotui"
    place.mkdir(exist_ok=True)
    (place / parts.DATABASE).write_bytes(raw)
    try:
        recording = Recording(place)
    except InputError:
        return
    everything(recording)
    recording.close()


def main() -> int:
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    kept = Path(sys.argv[2] if len(sys.argv) > 2 else "fuzzed")
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else time.time_ns() % 2**32
    chance, numbers = random.Random(seed), np.random.default_rng(seed)
    files = [DATA / name for name in captures()]
    files = [path for path in files if path.exists() and path.stat().st_size <= LARGEST]
    done = found = 0
    ends = time.monotonic() + 60 * minutes
    with contextlib.suppress(KeyboardInterrupt), tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        place = record(folder / "base.panotui", 20)
        plain(place).close()
        database = (place / parts.DATABASE).read_bytes()
        while time.monotonic() < ends:
            kind = chance.randrange(4)
            work: Callable[[Path, bytes], None] = analysed
            if kind == 0:
                work, raw = read, damaged(database, numbers)
            elif kind == 1:
                raw = damaged(flood(chance), numbers)
            else:
                raw = damaged(chance.choice(files).read_bytes(), numbers)
            began = time.process_time()
            try:
                work(folder, raw)
                spent = time.process_time() - began
                if spent > 20:
                    raise AssertionError(f"{spent:.0f} s of CPU for {len(raw)} bytes")
            except Exception:  # noqa: BLE001 - whatever it is, it is kept
                found += 1
                kept.mkdir(exist_ok=True)
                ending = ".sqlite" if work is read else ".cap"
                (kept / f"{seed}-{done}{ending}").write_bytes(raw)
                (kept / f"{seed}-{done}.txt").write_text(traceback.format_exc())
            done += 1
    print(f"seed {seed}: {done} inputs, {found} failures{f', kept in {kept}' if found else ''}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
