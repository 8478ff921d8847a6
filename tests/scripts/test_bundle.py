"""What is carried to machines without internet: built twice, installed without a network."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.captures import capture

ROOT = Path(__file__).parents[2]
PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"
ARCH = platform.machine()
OTHER = {"x86_64": "aarch64", "aarch64": "x86_64"}[ARCH]
DEBIAN = {"x86_64": "amd64", "aarch64": "arm64"}
ELF = {"x86_64": 62, "aarch64": 183}
PATIENCE_S = 900  # of one build or installation; what hangs is a failure
run = partial(subprocess.run, timeout=PATIENCE_S)
is_root = os.geteuid() == 0
needs_namespaces = pytest.mark.skipif(
    not is_root or shutil.which("unshare") is None, reason="needs root and unshare"
)
# In a fresh root of this machine's Debian, which holds what the package asks for and nothing more;
# where no mirror can be reached, in a root that lies over this machine's.
IN_FRESH_ROOT = """
set -e
mount --make-rprivate /
if [ ! -e "$1/usr" ]; then
  mkdir -p "$1"
  mount -t tmpfs none "$1"
  mkdir "$1/upper" "$1/work" "$1/tree"
  mount -t overlay none -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/tree"
  set -- "$1/tree" "$2" "$3"
fi
mount -t proc none "$1/proc"
mount --bind /dev "$1/dev"
mkdir "$1/in"
cp "$2" "$1/in/panotui.deb"
cp "$3" "$1/in/cam.pcap"
cat > "$1/in/run.sh"
exec chroot "$1" sh -e /in/run.sh
"""
INSTALL_AND_REMOVE = """
export PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive
dpkg -i /in/panotui.deb >/dev/null
test -x /usr/bin/panotui
test -e /usr/share/man/man1/panotui.1.gz
test -e /usr/share/bash-completion/completions/panotui
getent passwd panotui >/dev/null
grep -q '^ExecStart=/usr/bin/panotui record' /usr/lib/systemd/system/panotui.service
cd /in
/usr/bin/panotui --version
/usr/bin/panotui analyze --json cam.pcap > answer.json
cat answer.json
dpkg -r panotui >/dev/null
dpkg -P panotui >/dev/null
for left in /opt/panotui /usr/bin/panotui /usr/lib/systemd/system/panotui.service \\
    /usr/share/man/man1/panotui.1.gz /usr/share/doc/panotui; do
  if [ -e "$left" ] || [ -L "$left" ]; then echo "left: $left"; fi
done
if getent passwd panotui >/dev/null; then echo "left: user"; fi
if dpkg -s panotui >/dev/null 2>&1; then echo "left: state"; fi
"""


def machine_of(program: bytes) -> int:
    """The kind of machine that an ELF file is for."""
    assert program[:4] == b"\x7fELF"
    return int.from_bytes(program[18:20], "little")


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def build(output: Path, *arches: str) -> dict[str, Path]:
    """By ending: what one build made for this machine's kind and this Python; those of other kinds
    (`arches`, which come first) lie beside."""
    words = [word for arch in (*arches, ARCH) for word in ("--arch", arch)]
    done = run(
        [sys.executable, str(ROOT / "scripts" / "bundle"), "-o", str(output), "--python", PYTHON,
         *words],
        capture_output=True, text=True, check=False, cwd=output.parent,
        env={**os.environ, "TMPDIR": str(output.parent), "SOURCE_DATE_EPOCH": "1767225600"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for path in output.iterdir():
        assert f"{digest(path)}  {path}" in done.stdout
    own = (f"-{ARCH}.", f"_{DEBIAN[ARCH]}.")
    return {p.suffix: p for p in output.iterdir() if any(name in p.name for name in own)}


@pytest.fixture(scope="module")
def made() -> Iterator[dict[str, Path]]:
    """Readable for all: an analysis as root gives its rights up."""
    folder = Path("/tmp") / f"panotui-bundle-test-{os.getpid()}"
    folder.mkdir(mode=0o755)
    try:
        yield build(folder / "dist")
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def again(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same once more, by a run that makes those of the other kind of machine before."""
    return build(tmp_path_factory.mktemp("bundle") / "again", OTHER)


@pytest.fixture
def wide(made: dict[str, Path], tmp_path: Path) -> Path:
    """An empty folder that everybody can reach."""
    folder = made[".tar"].parents[1] / tmp_path.name
    folder.mkdir(mode=0o755)
    shutil.copyfile(capture("lab/udp-h264.pcap"), folder / "cam.pcap")
    return folder


def without_network(*words: str | Path, home: Path, cwd: Path | None = None) -> str:
    """stdout of a program in a network namespace that has nothing, with a home of its own."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "PYTHON", "UV_"))}
    env |= {"HOME": str(home), "PATH": f"{Path(sys.executable).resolve().parent}:/usr/bin:/bin"}
    done = run(
        ["unshare", "-n", *map(str, words)], capture_output=True, text=True, check=False,
        env=env, cwd=cwd or home,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def expected(folder: Path) -> dict[str, object]:
    done = run(
        [sys.executable, "-m", "panotui", "analyze", "--json", "cam.pcap"],
        capture_output=True, check=True, cwd=folder,
    )  # fmt: skip
    return dict(json.loads(done.stdout))


@pytest.mark.xdist_group("bundle")
class TestBundle:
    def test_two_builds_are_one(self, made: dict[str, Path], again: dict[str, Path]) -> None:
        assert set(again) == set(made) == {".tar", ".pyz", ".deb"}
        for kind, path in made.items():
            assert digest(path) == digest(again[kind]), kind

    def test_what_is_for_another_machine_holds_its_programs_and_no_others(
        self, again: dict[str, Path], tmp_path: Path
    ) -> None:
        (single,) = again[".pyz"].parent.glob(f"*-{OTHER}.pyz")
        with zipfile.ZipFile(single) as file:
            programs = [name for name in file.namelist() if re.search(r"\.so(\.|$)", name)]
            assert len(programs) > 10
            assert {machine_of(file.read(name)) for name in programs} == {ELF[OTHER]}
        (archive,) = again[".tar"].parent.glob(f"*-{OTHER}.tar")
        run(["tar", "xf", archive, "-C", tmp_path], check=True)
        (folder,) = tmp_path.glob("panotui-*")
        wheels = [path.name for path in folder.glob("wheels/*.whl")]
        assert len([name for name in wheels if OTHER in name]) >= 3
        assert [name for name in wheels if not name.endswith((f"{OTHER}.whl", "-any.whl"))] == []
        # its tools for installing find all that is needed, without a network, as it is locked
        done = run(
            [sys.executable, "-m", "pip", "install", "-q", "--dry-run", "--ignore-installed",
             "--no-index", "--find-links", folder / "wheels", "--require-hashes",
             "--only-binary", ":all:", "--target", tmp_path / "none", "--python-version", PYTHON,
             *(word for n in range(17, 29) for word in ("--platform", f"manylinux_2_{n}_{OTHER}")),
             "--platform", f"manylinux2014_{OTHER}",
             "-r", folder / f"requirements-{PYTHON}.txt"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    @needs_namespaces
    def test_the_archive_installs_without_network(self, made: dict[str, Path], wide: Path) -> None:
        run(["tar", "xf", made[".tar"], "-C", wide], check=True)
        (folder,) = wide.glob("panotui-*")
        said = without_network(folder / "install.sh", wide / "prefix", home=wide)
        assert f"is in {wide}/prefix" in said
        program = wide / "prefix" / "bin" / "panotui"
        answer = without_network(program, "analyze", "--json", "cam.pcap", home=wide)
        assert json.loads(answer) == expected(wide)
        # a wheel that is not what it was is not installed
        (wheel,) = folder.glob("wheels/click-*.whl")
        wheel.write_bytes(wheel.read_bytes()[:-1] + b"x")
        done = run(
            [folder / "install.sh", wide / "other"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 2
        assert "the archive is damaged" in done.stderr
        assert not (wide / "other").exists()

    @needs_namespaces
    def test_the_single_file_runs_without_network(self, made: dict[str, Path], wide: Path) -> None:
        answer = without_network(made[".pyz"], "analyze", "--json", "cam.pcap", home=wide)
        assert json.loads(answer) == expected(wide)
        # its processes find the same program: several captures are metered by children
        shutil.copyfile(wide / "cam.pcap", wide / "two.pcap")
        said = without_network(made[".pyz"], "analyze", "cam.pcap", "two.pcap", home=wide)
        assert "two.pcap" in said

    def test_a_box_whose_python_is_too_old_is_told_so(self, made: dict[str, Path]) -> None:
        done = run(
            ["/bin/sh", str(made[".pyz"])], capture_output=True, text=True, check=False,
            env={"PATH": "/nowhere"},
        )  # fmt: skip
        assert done.returncode == 2
        assert re.fullmatch(r"panotui: Python 3\.\d+: none of them is on .*\n", done.stderr)

    @needs_namespaces
    @pytest.mark.skipif(shutil.which("mmdebstrap") is None, reason="mmdebstrap is absent")
    def test_the_package_installs_and_removes(self, made: dict[str, Path], wide: Path) -> None:
        asked = run(
            ["dpkg-deb", "-f", made[".deb"], "Depends"], capture_output=True, text=True, check=True
        ).stdout
        names = [one.split()[0] for one in asked.split(",")]
        assert "python3" in names
        release = dict(
            line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if line
        )
        fresh = wide / "fresh"
        laid = run(
            ["mmdebstrap", "-q", "--variant=minbase", f"--include={','.join(names)}",
             release["VERSION_CODENAME"], str(fresh)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if laid.returncode != 0:
            print(laid.stderr, file=sys.stderr)
            shutil.rmtree(fresh, ignore_errors=True)
        done = run(
            ["unshare", "-m", "-n", "sh", "-c", IN_FRESH_ROOT, "sh", str(fresh),
             str(made[".deb"]), str(wide / "cam.pcap")],
            input=INSTALL_AND_REMOVE, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        version, answer, *left = done.stdout.splitlines()
        assert version.startswith("panotui, version ")
        assert json.loads(answer) == expected(wide)
        assert left == []
        assert not Path("/opt/panotui").exists()

    @pytest.mark.skipif(shutil.which("lintian") is None, reason="lintian is absent")
    def test_lintian_has_no_error(self, made: dict[str, Path]) -> None:
        done = run(
            ["lintian", "--allow-root", "--fail-on", "error", str(made[".deb"])],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout


def test_times_are_those_of_the_last_commit_and_stay_where_they_are_told() -> None:
    said = """
import os, sys
sys.path.insert(0, "scripts")
import bundling
told = bundling.run(sys.executable, "-c", "import os; print(os.environ['SOURCE_DATE_EPOCH'])")
print(bundling.epoch(), told, "SOURCE_DATE_EPOCH" in os.environ)
"""
    environment = {k: v for k, v in os.environ.items() if k != "SOURCE_DATE_EPOCH"}
    done = run(
        [sys.executable, "-c", said], capture_output=True, text=True, check=True, cwd=ROOT,
        env=environment,
    )  # fmt: skip
    commit = run(
        ["git", "log", "-1", "--format=%ct"], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout.strip()
    assert done.stdout.split() == [commit, commit, "False"]


def test_all_that_builds_is_locked_by_hash() -> None:
    text = (ROOT / "scripts" / "build-constraints.txt").read_text().replace("\\\n", "")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert {line.partition("==")[0] for line in lines} >= {"hatchling", "pip"}
    for line in lines:
        assert re.match(r"\S+==\S+ +--hash=sha256:[0-9a-f]{64}", line), line


@pytest.mark.skipif(ARCH != "x86_64", reason="hadolint comes for x86_64 alone")
def test_a_linter_has_nothing_to_say_of_the_container() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = run(
        [hadolint, "--no-color", ROOT / "Containerfile"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_container_runs_as_a_user_with_one_right() -> None:
    """What a linter would say where nothing can build it; the wheels are those of the archive."""
    text = (ROOT / "Containerfile").read_text()
    steps = re.sub(r"\\\n", " ", text)
    words = [line.split(" ", 1) for line in steps.splitlines() if line and line[0] not in "# "]
    assert {word for word, _ in words} <= {
        "FROM", "RUN", "COPY", "WORKDIR", "ENV", "USER", "VOLUME", "ENTRYPOINT", "CMD",
    }  # fmt: skip
    bases = {rest.split(" ")[0] for word, rest in words if word == "FROM"}
    assert bases == {"debian:13-slim"}
    last = words[max(i for i, (word, _) in enumerate(words) if word == "FROM") :]
    assert [rest for word, rest in last if word == "USER"] == ["999:999"]
    assert re.findall(r"setcap (\S+)", steps) == ["cap_net_raw=ep"]
    assert "pip install" not in steps
    assert "install.sh" in steps
