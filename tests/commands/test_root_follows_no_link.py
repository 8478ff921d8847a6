"""What root does on behalf of a user reaches nothing that the user could not reach alone."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from panotui.errors import UsageError
from panotui.sources.live import deputy, privileges
from tests.lab.netns import Namespace, require_root

pytestmark = pytest.mark.lab

USER = 23_456  # of nobody on this machine
REPOSITORY = Path(__file__).parents[2]
PANOTUI = [sys.executable, "-m", "panotui"]
RECORDING = REPOSITORY / "tests/data/recordings/format3.panotui"
SECRET = b"nobody reads this\n" * 50


@pytest.fixture(autouse=True)
def _by_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    require_root()
    monkeypatch.setenv("SUDO_UID", str(USER))
    monkeypatch.setenv("SUDO_GID", str(USER))


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A folder of the user's that the user can reach."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_mode & 0o001 == 0:
            base = Path("/tmp") / f"panotui-test-{os.getpid()}"
            break
    else:
        base = tmp_path / "base"
    base.mkdir(mode=0o755)
    place = base / "home"
    place.mkdir()
    os.chown(place, USER, USER)
    yield place
    shutil.rmtree(base)


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    path = tmp_path / "precious"
    path.write_bytes(SECRET)
    path.chmod(0o600)
    return path


def untouched(path: Path) -> bool:
    status = path.stat()
    return (
        path.read_bytes() == SECRET
        and (status.st_uid, status.st_gid) == (0, 0)
        and stat.S_IMODE(status.st_mode) == 0o600
    )


def record(*arguments: str) -> subprocess.CompletedProcess[str]:
    with Namespace("ptl") as here:
        process = here.popen(
            [*PANOTUI, "record", "lo", "--for", "1s", *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=REPOSITORY, text=True,
        )  # fmt: skip
        out, err = process.communicate(timeout=300)
    return subprocess.CompletedProcess([], process.returncode, out, err)


@pytest.mark.parametrize(
    "planted",
    ["recorder.lock", "recording.sqlite", "reserve", "README.txt", "evidence/a.pcapng", "evidence"],
)
def test_a_link_in_the_recording_leads_root_nowhere(
    home: Path, precious: Path, planted: str
) -> None:
    folder = home / "r.panotui"
    (folder / planted).parent.mkdir(parents=True, exist_ok=True)
    for part in (folder, folder / "evidence"):
        if part.exists():
            part.chmod(0o750)
            os.chown(part, USER, USER)
    (folder / planted).symlink_to(precious)
    done = record("-o", str(folder), "--socket", str(home / "s.sock"))
    assert untouched(precious)
    assert "Traceback" not in done.stderr
    if done.returncode:
        assert str(folder) in done.stderr or "r.panotui" in done.stderr


@pytest.mark.parametrize("option", ["--alerts", "--socket", "--site"])
def test_a_link_that_an_option_names_leads_root_nowhere(
    home: Path, precious: Path, option: str
) -> None:
    link = home / "link"
    link.symlink_to(precious)
    done = record("-o", str(home / "r"), option, str(link))
    assert done.returncode == 2
    assert str(link) in done.stderr
    assert SECRET.decode().splitlines()[0] not in done.stderr
    assert untouched(precious)


def test_who_called_sudo_gets_no_file_in_a_folder_of_roots(home: Path, tmp_path: Path) -> None:
    """Such as /etc/profile.d: what stands there, root runs."""
    roots = Path("/etc") / f"panotui-test-{os.getpid()}"
    roots.mkdir(mode=0o755)
    try:
        own = roots / "own"
        own.write_bytes(SECRET)
        own.chmod(0o600)
        for name in ("new.sh", "own"):
            done = record("-o", str(home / "r"), "--alerts", str(roots / name))
            assert done.returncode == 2
            assert len(done.stderr.splitlines()) == 1
        done = record("-o", str(home / "r"), "--site", str(own))
        assert done.returncode == 2
        assert SECRET.decode().splitlines()[0] not in done.stderr
        assert untouched(own)
        assert list(roots.iterdir()) == [own]
    finally:
        shutil.rmtree(roots)


@pytest.mark.parametrize("user", ["root", "daemon"])
def test_who_called_sudo_becomes_nobody_else(home: Path, user: str) -> None:
    done = record("-o", str(home / "r"), "--user", user)
    assert done.returncode == 4
    assert done.stderr.startswith(f"panotui: {user}: ")
    assert not (home / "r.panotui").exists()


def test_a_folder_that_was_put_in_the_place_of_the_new_one_keeps_its_mode(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    roots = tmp_path / "roots"
    roots.mkdir(mode=0o755)
    make = deputy._mkdir

    def quick(name: Path | str, mode: int, parent: int | None = None) -> bool:
        made = make(name, mode, parent)
        if Path(name) == home / "r.panotui":
            (home / "r.panotui").rmdir()
            (home / "r.panotui").symlink_to(roots)
        return made

    monkeypatch.setattr(deputy, "_mkdir", quick)
    tmp_path.chmod(0o755)
    roots.parent.parent.chmod(0o755)
    with pytest.raises(UsageError):
        deputy.folder(home / "r.panotui")
    assert stat.S_IMODE(roots.stat().st_mode) == 0o755
    assert roots.stat().st_uid == 0


def test_a_closed_folder_lets_its_group_write_nothing_meanwhile(tmp_path: Path) -> None:
    place = tmp_path / "r.panotui"
    place.mkdir()
    for part in (place, place / "evidence"):
        part.mkdir(exist_ok=True)
        os.chown(part, USER, USER)
        part.chmod(0o770)
    handle = os.open(place, os.O_PATH | os.O_DIRECTORY)
    with deputy.closed_folder(handle):
        for part in (place, place / "evidence"):
            assert stat.S_IMODE(part.stat().st_mode) == 0o700
            assert part.stat().st_uid == 0
        (place / "new").touch()
    for part in (place, place / "evidence"):
        assert stat.S_IMODE(part.stat().st_mode) == 0o770
        assert part.stat().st_uid == USER
    assert (place / "new").stat().st_uid == USER
    os.close(handle)


def test_a_folder_of_root_is_refused_and_a_link_to_one_as_well(home: Path, tmp_path: Path) -> None:
    roots = tmp_path / "roots"
    roots.mkdir(mode=0o700)
    (home / "r.panotui").symlink_to(roots)
    done = record("-o", str(home / "r"))
    assert done.returncode == 2
    assert list(roots.iterdir()) == []
    assert roots.stat().st_uid == 0


def test_all_that_is_recorded_is_the_users_and_closed_to_others(home: Path) -> None:
    old = os.umask(0)
    try:
        done = record("-o", str(home / "own"), "--json", "--alerts", str(home / "alerts"))
    finally:
        os.umask(old)
    assert done.returncode == 0, done.stderr
    assert "including cleartext passwords" in done.stderr
    parts = [home / "own.panotui", *(home / "own.panotui").rglob("*"), home / "alerts"]
    assert len(parts) >= 6
    for part in parts:
        status = part.stat()
        assert (status.st_uid, status.st_gid) == (USER, USER), part
        wanted = 0o750 if part.is_dir() else 0o640
        assert stat.S_IMODE(status.st_mode) == wanted, part
    assert json.loads(done.stdout.splitlines()[-1])["recorder"]["state"] == "recording"


def test_the_socket_ends_with_its_recorder(home: Path) -> None:
    done = record("-o", str(home / "ends-with-it"))
    assert done.returncode == 0, done.stderr
    said = next(line for line in done.stderr.splitlines() if "socket" in line)
    path = Path(said.rpartition("socket ")[2])
    assert path.name == "ends-with-it.sock"
    assert not path.exists()


def test_a_folder_that_others_may_read_is_refused_unless_shared(home: Path) -> None:
    folder = home / "open.panotui"
    folder.mkdir()
    folder.chmod(0o755)
    os.chown(folder, USER, USER)
    done = record("-o", str(folder))
    assert done.returncode == 2
    assert "--shared" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert record("-o", str(folder), "--shared").returncode == 0


def test_a_recording_below_a_closed_folder_of_roots(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    for _ in range(2):  # made, and continued
        done = record("-o", str(closed / "r"))
        assert done.returncode == 0, done.stderr
    for part in (closed / "r.panotui").rglob("*"):
        assert part.stat().st_uid == USER
    (closed / "r.panotui" / "evidence" / "x.pcapng").symlink_to("/etc/hostname")
    os.chown(closed / "r.panotui" / "evidence" / "x.pcapng", USER, USER, follow_symlinks=False)
    done = record("-o", str(closed / "r"))
    assert done.returncode == 2
    assert "x.pcapng" in done.stderr
    assert (closed / "r.panotui").stat().st_uid == USER  # given back all the same


def test_root_without_sudo_records_for_nobody_else(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("SUDO_UID")
    monkeypatch.delenv("SUDO_GID")
    nobody = privileges.target()[0]
    if not privileges.is_nobody(nobody):
        pytest.skip("this machine has a user panotui")
    place = tmp_path / "p"
    place.mkdir(mode=0o700)
    done = record("-o", str(place / "r"))
    assert done.returncode == 0, done.stderr
    assert "only root can attach" in done.stderr
    assert "useradd --system panotui" in done.stderr
    assert stat.S_IMODE((place / "r.panotui").stat().st_mode) == 0o700
    as_daemon = record("-o", str(place / "d"), "--user", "daemon")
    assert as_daemon.returncode == 0, as_daemon.stderr
    assert (place / "d.panotui").owner() == "daemon"
    assert record("-o", str(place / "e"), "--user", "nosuchuser").returncode == 4


def test_acting_as_the_user_ends_even_when_it_fails(home: Path) -> None:
    with pytest.raises(FileNotFoundError), deputy.acting():
        (home / "nothing" if os.geteuid() == USER else home).stat()
    assert os.geteuid() == os.getegid() == 0


def test_a_folder_reached_through_a_users_folder_is_not_made_by_root(home: Path) -> None:
    locked = home / "locked"
    locked.mkdir(mode=0o500)
    os.chown(locked, USER, USER)
    with pytest.raises(UsageError, match="not root's alone"):
        deputy.folder(locked / "r.panotui")
    assert list(locked.iterdir()) == []


def by_sudo(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PANOTUI, *arguments], capture_output=True, text=True, timeout=300, cwd=REPOSITORY,
        check=False,
    )  # fmt: skip


@pytest.mark.parametrize(("owner", "said"), [(USER + 1, f"user {USER + 1}"), (0, "root")])
def test_no_day_of_somebody_elses_recording_is_removed(home: Path, owner: int, said: str) -> None:
    recording = home / "other.panotui"
    shutil.copytree(RECORDING, recording)
    for path in (recording, *recording.rglob("*")):
        os.chown(path, owner, owner)
    before = (recording / "recording.sqlite").read_bytes()
    done = by_sudo("days", str(recording), "2026-11-24", "--remove")
    assert done.returncode == 3
    assert f"it belongs to {said}" in done.stderr
    assert done.stderr.count("\n") == 1
    assert (recording / "recording.sqlite").read_bytes() == before


def test_a_day_is_copied_over_nothing_that_is_there(home: Path) -> None:
    recording = home / "mine.panotui"
    shutil.copytree(RECORDING, recording)
    for path in (recording, *recording.rglob("*")):
        os.chown(path, USER, USER)
    there = home / "there.panotui"
    shutil.copytree(recording, there)
    before = (there / "recording.sqlite").read_bytes()
    done = by_sudo("days", str(recording), "2026-11-24", "-o", str(there))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "it is there already" in done.stderr
    assert (there / "recording.sqlite").read_bytes() == before


def test_a_fleet_is_never_analysed_with_roots_rights(home: Path, precious: Path) -> None:
    lake = home / "lake"
    for arguments in (("fleet", str(precious), "-o", str(lake)),
                      ("fleet", "report", str(lake), "-o", str(home / "f.html"))):  # fmt: skip
        done = by_sudo(*arguments)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert "sudo" in done.stderr
    assert not lake.exists()
