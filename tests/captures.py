"""The captures that tests read, by name (`lab/udp-h264.pcap`), and what other tools say of them.

They lie in `tests/data`, the large ones packed, or are made by `tests.crafted` when asked for;
`tests/data/index.toml` names each with its origin and licence. To look at one:
`python -m tests.captures lab/udp-h264.pcap -o here.pcap`.
"""

from __future__ import annotations

import argparse
import atexit
import functools
import importlib
import json
import os
import shutil
import tempfile
import tomllib
from pathlib import Path
from typing import Any

import zstandard

from tests import tshark

DATA = Path(__file__).parent / "data"
FOLDERS = ("crafted", "lab", "open", "variants")
UNPACKED = "PANOTUI_UNPACKED"  # the folder of a test run, which its workers inherit


@functools.cache
def index() -> dict[str, dict[str, str]]:
    """`index.toml`: for each file what it is, its licence and, if it is not ours, its origin."""
    return tomllib.loads((DATA / "index.toml").read_text("utf-8"))


def captures() -> list[str]:
    """The names of all captures, sorted."""
    return sorted(name for name in index() if name.split("/")[0] in FOLDERS)


def capture(name: str) -> Path:
    """A capture as a plain file."""
    row = index()[name]
    if (DATA / name).exists():
        return DATA / name
    path = unpacked() / name
    if not path.exists():
        _put(path, _craft(row["made"]) if "made" in row else _unpack(name))
    return path


def _put(path: Path, content: bytes) -> None:
    """Write a file whole: workers may want the same one at once, and the last one stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, beside = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    os.chmod(beside, 0o644)
    os.replace(beside, path)


def _craft(made: str) -> bytes:
    # only who asks for one of these captures waits for scapy
    module, function = made.split(":")
    content: bytes = getattr(importlib.import_module(f"tests.crafted.{module}"), function)()
    return content


def _unpack(name: str) -> bytes:
    against = index()[name].get("against")
    known = None
    if against is not None:
        whole = capture(against).read_bytes()
        known = zstandard.ZstdCompressionDict(whole, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
    return zstandard.ZstdDecompressor(dict_data=known).decompress(
        (DATA / f"{name}.zst").read_bytes()
    )


def pack(path: Path, against: str | None = None) -> bytes:
    """A capture as it lies in `tests/data`; `against` names one there that shares its content."""
    data = path.read_bytes()
    known = None
    if against is not None:
        whole = capture(against).read_bytes()
        known = zstandard.ZstdCompressionDict(whole, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
    ways = zstandard.ZstdCompressionParameters.from_level(
        19, source_size=len(data), window_log=22, enable_ldm=True
    )
    return zstandard.ZstdCompressor(compression_params=ways, dict_data=known).compress(data)


@functools.cache
def unpacked() -> Path:
    """The folder for unpacked captures, one for all processes of a test run."""
    if UNPACKED not in os.environ:
        folder = tempfile.mkdtemp(prefix="panotui-captures-")
        os.chmod(folder, 0o755)  # some tests become another user
        os.environ[UNPACKED] = folder
        atexit.register(_remove, folder, os.getpid())
    return Path(os.environ[UNPACKED])


def _remove(folder: str, made_by: int) -> None:
    if os.getpid() == made_by:
        shutil.rmtree(folder, ignore_errors=True)


@functools.cache
def _stored() -> dict[str, dict[str, Any]]:
    whole: dict[str, dict[str, Any]] = json.loads((DATA / "oracles/tshark.json").read_text())
    return whole


def tshark_says(name: str) -> dict[str, Any]:
    """What tshark 4.0 says of a capture: `packets`, `bytes`, `first` and `last` time in seconds,
    values of fields with their counts, and `conversations`, the lines of its TCP and UDP tables.
    Of captures that are made, the tshark of this machine is asked."""
    if name in _stored():
        return _stored()[name]
    kept = unpacked() / f"{name}.tshark.json"
    if not kept.exists():
        tshark.require()
        _put(kept, json.dumps(tshark.say(capture(name))).encode())
    told: dict[str, Any] = json.loads(kept.read_text())
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description="Unpack or pack a capture of tests/data.")
    parser.add_argument("capture", help="a name in tests/data, or with --pack a file")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--pack", action="store_true")
    parser.add_argument("--against", metavar="NAME", help="pack against this capture")
    asked = parser.parse_args()
    if asked.pack:
        asked.output.write_bytes(pack(Path(asked.capture), asked.against))
    else:
        asked.output.write_bytes(capture(asked.capture).read_bytes())


if __name__ == "__main__":
    main()
