"""A Debian package: the tree under /opt as a virtual environment of the system's Python.

Built with dpkg-deb only. The environment has a library folder for each supported Python, all of
them the same one, so that an upgrade of the system's Python within these needs no new package.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from bundling import ROOT, Problem, Wheels, epoch, packed, run, version

ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}
PREFIX = "opt/panotui"
LAUNCHER = """\
#!/opt/panotui/bin/python
import sys

from panotui.__main__ import main

sys.exit(main())
"""
CONTROL = """\
Package: panotui
Version: {version}
Architecture: {architecture}
Maintainer: The Panotui developers <panotui@localhost.localdomain>
Installed-Size: {size}
Depends: python3 (>= {least}), python3 (<< {most}), adduser, libc6 (>= 2.28), libgcc-s1, libstdc++6
Recommends: wireshark-common
Section: net
Priority: optional
Description: network monitor in the terminal for the AWS Panorama Appliance
 Panotui watches the two ports of an AWS Panorama Appliance, its camera streams
 and its connections to the cloud, live or from captures and recordings, says
 what departs from the policy, and what is wrong in plain words.
 .
 The program and its Python libraries are in /opt/panotui.
"""
POSTINST = """\
#!/bin/sh
set -e
if [ "$1" = configure ]; then
  adduser --quiet --system --group --no-create-home --home /nonexistent \\
    --gecos "Panotui recorder" panotui
  /opt/panotui/bin/python -m compileall -q -x templates /opt/panotui/lib/panotui || true
  if [ -d /run/systemd/system ]; then
    systemctl daemon-reload || true
  fi
fi
"""
PRERM = """\
#!/bin/sh
set -e
if [ -d /run/systemd/system ] && [ "$1" = remove ]; then
  systemctl stop panotui.service || true
fi
find /opt/panotui -type d -name __pycache__ -prune -exec rm -rf {} +
"""
POSTRM = """\
#!/bin/sh
set -e
if [ "$1" = purge ]; then
  rm -rf /var/lib/panotui /var/lib/private/panotui
  if command -v deluser >/dev/null; then
    deluser --quiet --system panotui || true
  fi
fi
if [ -d /run/systemd/system ]; then
  systemctl daemon-reload || true
fi
"""
COPYRIGHT = """\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: panotui

Files: *
Copyright: 2026 The Panotui developers
License: GPL-2.0-only
 On Debian systems, the complete text of the GNU General Public License
 version 2 can be found in /usr/share/common-licenses/GPL-2.
 .
 Each library in /opt/panotui/lib/panotui keeps its own copyright and licence
 in its folder NAME.dist-info.
"""
CHANGELOG = """\
panotui ({version}) stable; urgency=low

  * See /usr/share/doc/panotui/NEWS.md.gz.

 -- The Panotui developers <panotui@localhost.localdomain>  {date}
"""
# Under /opt on purpose, separate from Debian's own Python, with libraries as their makers built
# them. The builder of this package is unknown here, so no mailbox is named.
OVERRIDES = """\
panotui: dir-or-file-in-opt
panotui: embedded-library
panotui: library-not-linked-against-libc
panotui: shared-library-lacks-prerequisites
panotui: unstripped-binary-or-object
panotui: bogus-mail-host
panotui: bogus-mail-host-in-debian-changelog
panotui: unusual-interpreter
panotui: script-not-executable
"""


def deb(wheels: Wheels, tree: Path, target: Path, scratch: Path) -> Path:
    """The package; Problem without dpkg-deb."""
    if shutil.which("dpkg-deb") is None:
        raise Problem("dpkg-deb is not installed: leave the package out with --only pyz --only tar")
    root = scratch / "deb"
    library = root / PREFIX / "lib" / "panotui"
    library.parent.mkdir(parents=True)
    shutil.copytree(tree, library)
    for python in wheels.pythons:
        folder = library.parent / f"python{python}"
        folder.mkdir()
        (folder / "site-packages").symlink_to("../panotui")
    programs = root / PREFIX / "bin"
    programs.mkdir()
    (programs / "python").symlink_to("/usr/bin/python3")
    put(programs / "panotui", LAUNCHER, 0o755)
    put(root / PREFIX / "pyvenv.cfg", "home = /usr/bin\ninclude-system-site-packages = false\n")
    link = root / "usr/bin/panotui"
    link.parent.mkdir(parents=True)
    link.symlink_to("/opt/panotui/bin/panotui")
    share = root / "usr/share"
    put(share / "man/man1/panotui.1.gz", packed((ROOT / "docs/panotui.1").read_bytes()))
    completion = ROOT / "docs/completion"
    for source, place in (
        ("bash/panotui", "bash-completion/completions/panotui"),
        ("zsh/_panotui", "zsh/vendor-completions/_panotui"),
        ("fish/panotui.fish", "fish/vendor_completions.d/panotui.fish"),
    ):
        put(share / place, (completion / source).read_bytes())
    put(root / "usr/lib/systemd/system/panotui.service", unit())
    about = share / "doc/panotui"
    put(about / "copyright", COPYRIGHT)
    put(about / "NEWS.md.gz", packed((ROOT / "CHANGELOG.md").read_bytes()))
    date = datetime.fromtimestamp(epoch(), UTC).strftime("%a, %d %b %Y %H:%M:%S +0000")
    text = CHANGELOG.format(version=version(), date=date)
    put(about / "changelog.gz", packed(text.encode()))
    put(share / "lintian/overrides/panotui", OVERRIDES)
    control(root, wheels)
    path = target / f"panotui_{version()}_{ARCHITECTURE[wheels.arch]}.deb"
    for one in sorted(root.rglob("*"), reverse=True):
        if not one.is_symlink():
            if one.is_dir():
                one.chmod(0o755)
            os.utime(one, (epoch(), epoch()))
    env = {**os.environ, "SOURCE_DATE_EPOCH": str(epoch())}
    done = subprocess.run(
        ["dpkg-deb", "--root-owner-group", "-Zxz", "-z2", "--build", str(root), str(path)],
        capture_output=True, text=True, env=env, check=False,
    )  # fmt: skip
    if done.returncode:
        raise Problem(f"dpkg-deb: {done.stderr.strip()[:500]}")
    return path


def control(root: Path, wheels: Wheels) -> None:
    """The control file."""
    files = [p for p in root.rglob("*") if p.is_file() and not p.is_symlink()]
    folder = root / "DEBIAN"
    newest = wheels.pythons[-1].split(".")
    put(folder / "control", CONTROL.format(
        version=version(), architecture=ARCHITECTURE[wheels.arch],
        size=sum((p.stat().st_size + 1023) // 1024 for p in files), least=wheels.pythons[0],
        most=f"{newest[0]}.{int(newest[1]) + 1}~",
    ))  # fmt: skip
    for name, text in (("postinst", POSTINST), ("prerm", PRERM), ("postrm", POSTRM)):
        put(folder / name, text, 0o755)


def unit() -> str:
    """The recorder's unit as printed by the program, for the program in /usr/bin."""
    text = run(sys.executable, "-P", "-m", "panotui", "service")
    text = re.sub(r"^ExecStart=\S+", "ExecStart=/usr/bin/panotui", text, flags=re.MULTILINE)
    text = re.sub(r"^ProtectHome=.*", "ProtectHome=yes", text, flags=re.MULTILINE)
    return "# Start it: systemctl enable --now panotui\n" + text[text.index("[Unit]") :]


def put(path: Path, content: str | bytes, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(mode)
