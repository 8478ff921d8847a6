"""Wheels for machines without internet: locked, downloaded for another machine, arranged,
archived.

All output is reproducible byte by byte for the same checkout: versions and hashes come from
`requirements-dev.txt` and `build-constraints.txt`, times from the last commit.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Iterable, Sequence
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

from packaging.markers import Marker

ROOT = Path(__file__).parents[1]
PYTHONS = ("3.11", "3.12", "3.13")
ARCHITECTURES = ("x86_64", "aarch64")
# The oldest supported system: glibc 2.28 is from 2018.
GLIBC = range(28, 16, -1)
# These may differ between Pythons in one tree; no code depends on them.
MAY_DIFFER = (
    "*.dist-info/RECORD", "*.dist-info/WHEEL", "*.dist-info/INSTALLER", "numpy/__config__.py",
    "*.dist-info/sboms/*",
)  # fmt: skip
LEFT_OUT = ("bin", "share", "include")
EPOCH_LEAST = 315_532_800  # 1980: a zip cannot store an earlier time


class Problem(Exception):
    """An error in one line; nothing was created."""


def version() -> str:
    """The program's version."""
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    return str(tomllib.loads(text)["project"]["version"])


@cache
def epoch() -> int:
    """SOURCE_DATE_EPOCH, or the time of the last commit."""
    said = os.environ.get("SOURCE_DATE_EPOCH")
    if said is None:
        said = run("git", "log", "-1", "--format=%ct", cwd=ROOT).strip() or "0"
    return max(EPOCH_LEAST, int(said))


def run(*words: str | Path, cwd: Path | None = None) -> str:
    """The output of a program; Problem with its last lines if it fails."""
    env = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    if words[0] != "git":  # it reads the time variable
        env["SOURCE_DATE_EPOCH"] = str(epoch())
    done = subprocess.run(
        [str(word) for word in words], capture_output=True, text=True, cwd=cwd, env=env, check=False
    )
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise Problem(f"{Path(str(words[0])).name}: {' '.join(lines[-3:])[:500]}")
    return done.stdout


def tool(name: str) -> str:
    """A program beside this Python, or on the path."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise Problem(f"{name} is not installed: pip install -e '.[test]'")
    return found


def own_wheel(folder: Path) -> Path:
    """The program's own wheel."""
    constraints = ROOT / "scripts" / "build-constraints.txt"
    run(
        tool("uv"), "build", "-q", "--wheel", "--require-hashes",
        "--build-constraints", constraints, "-o", folder, ROOT,
    )  # fmt: skip
    (found,) = folder.glob("panotui-*.whl")
    return found


def pins() -> list[str]:
    """`name==version` of the lock for the oldest Python: one version for all Pythons."""
    lines = (ROOT / "requirements-dev.txt").read_text("utf-8").splitlines()
    found = []
    environment = {"python_version": PYTHONS[0], "python_full_version": f"{PYTHONS[0]}.0"}
    for line in lines:
        pin = re.match(r"([A-Za-z0-9._-]+==[^ ;\\]+)\s*(?:;\s*([^\\]+?))?\s*\\?$", line)
        if pin and (pin[2] is None or Marker(pin[2]).evaluate(environment)):
            found.append(pin[1])
    return found


def locked(python: str, arch: str, scratch: Path) -> str:
    """Requirements with hashes for one Python and machine."""
    constraints = scratch / "pins.txt"
    constraints.write_text("\n".join(pins()) + "\n", "utf-8")
    return run(
        tool("uv"), "pip", "compile", "-q", "--no-header", "--no-annotate", "--generate-hashes",
        "--no-emit-index-url", "-c", constraints, "--python-version", python,
        "--python-platform", f"{arch}-manylinux_2_28", ROOT / "pyproject.toml",
    )  # fmt: skip


def tags(python: str, arch: str) -> list[str]:
    """pip's options for wheels of that Python and machine."""
    platforms = [f"manylinux_2_{n}_{arch}" for n in GLIBC] + [f"manylinux2014_{arch}"]
    if arch == "x86_64":
        platforms += ["manylinux_2_12_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64"]
    abis = (f"cp{python.replace('.', '')}", "abi3", "none")
    words = ["--only-binary", ":all:", "--python-version", python, "--implementation", "cp"]
    words += [word for abi in abis for word in ("--abi", abi)]
    return words + [word for one in platforms for word in ("--platform", one)]


def fetch(requirements: Path, python: str, arch: str, folder: Path) -> None:
    """Download wheels, only those with a hash in the lock."""
    run(
        sys.executable, "-m", "pip", "download", "-q", "--no-deps", *tags(python, arch),
        "--require-hashes", "-r", requirements, "-d", folder,
    )  # fmt: skip


def fetch_pip(folder: Path, scratch: Path) -> None:
    """Download pip, locked, for systems whose Python has none."""
    text = (ROOT / "scripts" / "build-constraints.txt").read_text("utf-8").replace("\\\n", "")
    (line,) = [line for line in text.splitlines() if line.startswith("pip==")]
    requirements = scratch / "pip.txt"
    requirements.write_text(line + "\n", "utf-8")
    run(
        sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:",
        "--require-hashes", "-r", requirements, "-d", folder,
    )  # fmt: skip


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Wheels:
    """The wheels of one machine for several Pythons, in a folder that becomes the `.tar`."""

    def __init__(self, arch: str, pythons: Iterable[str], scratch: Path) -> None:
        self.arch = arch
        self.pythons = tuple(pythons)
        self.name = f"panotui-{version()}-linux-{arch}"
        self.folder = scratch / self.name
        wheels = self.folder / "wheels"
        wheels.mkdir(parents=True)
        own = own_wheel(scratch / "own")
        shutil.copyfile(own, wheels / own.name)
        for python in self.pythons:
            text = locked(python, arch, scratch)
            third = scratch / f"third-{arch}-{python}.txt"
            third.write_text(text, "utf-8")
            fetch(third, python, arch, wheels)
            mine = f"panotui=={version()} --hash=sha256:{digest(own)}\n"
            (self.folder / f"requirements-{python}.txt").write_text(text + mine, "utf-8")
        fetch_pip(wheels, scratch)
        script = self.folder / "install.sh"
        script.write_text(shell("install.sh", self.pythons), "utf-8")
        script.chmod(0o755)
        shutil.copyfile(ROOT / "LICENSE", self.folder / "LICENSE")
        shutil.copyfile(ROOT / "scripts" / "OFFLINE.md", self.folder / "README.md")
        files = sorted(p for p in self.folder.rglob("*") if p.is_file())
        sums = "".join(f"{digest(p)}  {p.relative_to(self.folder)}\n" for p in files)
        (self.folder / "SHA256SUMS").write_text(sums, "utf-8")

    def tar(self, target: Path) -> Path:
        """The archive; wheels are compressed already."""
        path = target / f"{self.name}.tar"
        with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
            for one in [self.folder, *sorted(self.folder.rglob("*"))]:
                about = archive.gettarinfo(one, str(one.relative_to(self.folder.parent)))
                about.mtime, about.uid, about.gid = epoch(), 0, 0
                about.uname = about.gname = "root"
                about.mode = 0o755 if one.is_dir() or one.name == "install.sh" else 0o644
                if one.is_dir():
                    archive.addfile(about)
                else:
                    with one.open("rb") as content:
                        archive.addfile(about, content)
        return path

    def tree(self, target: Path, scratch: Path) -> Path:
        """The unpacked wheels in one folder from which all of the Pythons can import."""
        target.mkdir(parents=True)
        for python in self.pythons:
            part = scratch / f"tree-{self.arch}-{python}"
            run(
                sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index",
                "--no-compile", "--find-links", self.folder / "wheels", "--target", part,
                *tags(python, self.arch),
                "--require-hashes", "-r", self.folder / f"requirements-{python}.txt",
            )  # fmt: skip
            merge(part, target)
        return target


def merge(part: Path, whole: Path) -> None:
    """Merge one Python's tree into the common one; Problem if two files conflict."""
    for path in sorted(p for p in part.rglob("*") if p.is_file()):
        name = path.relative_to(part)
        if name.parts[0] in LEFT_OUT or "__pycache__" in name.parts:
            continue
        there = whole / name
        if there.exists():
            same = there.read_bytes() == path.read_bytes()
            if not same and not any(fnmatch(str(name), pattern) for pattern in MAY_DIFFER):
                raise Problem(f"{name} differs between Pythons: bundle them one by one (--python)")
            continue
        there.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, there)
        there.chmod(0o644)


def pyz(wheels: Wheels, tree: Path, target: Path, scratch: Path) -> Path:
    """One executable file: a shell line that finds a Python, and a zip for it."""
    plain = scratch / f"plain-{wheels.arch}.pyz"
    run(
        tool("shiv"), "--site-packages", tree, "--compressed", "--reproducible",
        "--extend-pythonpath", "--compile-pyc", "-e", "panotui.__main__:main", "-o", plain,
    )  # fmt: skip
    head = shell("pyz-head.sh", wheels.pythons)
    path = target / f"{wheels.name}.pyz"
    path.write_bytes(head.encode() + plain.read_bytes().partition(b"\n")[2])
    path.chmod(0o755)
    return path


def shell(name: str, pythons: Sequence[str]) -> str:
    """A script of this folder, for these Pythons."""
    text = (ROOT / "scripts" / name).read_text("utf-8")
    names = " ".join(f"python{one}" for one in reversed(pythons))
    return text.replace("@NAMES@", names).replace("@PYTHONS@", " ".join(pythons))


def packed(text: bytes) -> bytes:
    """gzip without a time stamp."""
    return gzip.compress(text, 9, mtime=0)
