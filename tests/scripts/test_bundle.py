"""What is carried to machines without internet: built twice, installed without a network."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.captures import capture

ROOT = Path(__file__).parents[2]
PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"
is_root = os.geteuid() == 0
needs_namespaces = pytest.mark.skipif(
    not is_root or shutil.which("unshare") is None, reason="needs root and unshare"
)
# In a root of its own, over this one: what is installed there is gone with it.
IN_OVERLAY = """
set -e
mount --make-rprivate /
mount -t tmpfs none "$1"
mkdir "$1/upper" "$1/work" "$1/tree"
mount -t overlay none -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/tree"
mount -t proc none "$1/tree/proc"
mount --bind /dev "$1/tree/dev"
mkdir "$1/tree/in"
cp "$2" "$1/tree/in/panotui.deb"
cp "$3" "$1/tree/in/cam.pcap"
cat > "$1/tree/in/run.sh"
exec chroot "$1/tree" sh -e /in/run.sh
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


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def build(output: Path, *words: str) -> dict[str, Path]:
    """By ending: what one build made for this machine's kind and this Python."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "bundle"), "-o", str(output), "--arch", "x86_64",
         "--python", PYTHON, *words],
        capture_output=True, text=True, check=False, cwd=output.parent,
        env={**os.environ, "TMPDIR": str(output.parent), "SOURCE_DATE_EPOCH": "1767225600"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    made = {path.suffix: path for path in output.iterdir()}
    for path in made.values():
        assert f"{digest(path)}  {path}" in done.stdout
    return made


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Readable for all: an analysis as root gives its rights up."""
    folder = Path("/tmp") / f"panotui-bundle-test-{os.getpid()}"
    folder.mkdir(mode=0o755)
    try:
        yield build(folder / "dist")
    finally:
        shutil.rmtree(folder)


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
    done = subprocess.run(
        ["unshare", "-n", *map(str, words)], capture_output=True, text=True, check=False,
        env=env, cwd=cwd or home,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def expected(folder: Path) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-m", "panotui", "analyze", "--json", "cam.pcap"],
        capture_output=True, check=True, cwd=folder,
    )  # fmt: skip
    return dict(json.loads(done.stdout))


@pytest.mark.xdist_group("bundle")
class TestBundle:
    def test_two_builds_are_one(self, made: dict[str, Path], tmp_path: Path) -> None:
        again = build(tmp_path / "again")
        assert set(again) == set(made) == {".tar", ".pyz", ".deb"}
        for kind, path in made.items():
            assert digest(path) == digest(again[kind]), kind

    @needs_namespaces
    def test_the_archive_installs_without_network(self, made: dict[str, Path], wide: Path) -> None:
        subprocess.run(["tar", "xf", made[".tar"], "-C", wide], check=True)
        (folder,) = wide.glob("panotui-*")
        said = without_network(folder / "install.sh", wide / "prefix", home=wide)
        assert f"is in {wide}/prefix" in said
        program = wide / "prefix" / "bin" / "panotui"
        answer = without_network(program, "analyze", "--json", "cam.pcap", home=wide)
        assert json.loads(answer) == expected(wide)
        # a wheel that is not what it was is not installed
        (wheel,) = folder.glob("wheels/click-*.whl")
        wheel.write_bytes(wheel.read_bytes()[:-1] + b"x")
        done = subprocess.run(
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
        done = subprocess.run(
            ["/bin/sh", str(made[".pyz"])], capture_output=True, text=True, check=False,
            env={"PATH": "/nowhere"},
        )  # fmt: skip
        assert done.returncode == 2
        assert re.fullmatch(r"panotui: Python 3\.\d+: none of them is on .*\n", done.stderr)

    @needs_namespaces
    def test_the_package_installs_and_removes(
        self, made: dict[str, Path], wide: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "overlay").mkdir()
        done = subprocess.run(
            ["unshare", "-m", "-n", "sh", "-c", IN_OVERLAY, "sh", str(tmp_path / "overlay"),
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
        done = subprocess.run(
            ["lintian", "--allow-root", "--fail-on", "error", str(made[".deb"])],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout


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
