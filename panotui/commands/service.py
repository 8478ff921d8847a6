"""`panotui service`: a hardened systemd unit for the recorder, on stdout."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import click

from panotui.commands.options import common_options
from panotui.errors import UsageError

_UNIT = """\
# /etc/systemd/system/panotui.service
# Install:  panotui service {arguments}> /etc/systemd/system/panotui.service
#           systemctl daemon-reload && systemctl enable --now panotui
[Unit]
Description=Panotui recorder: network monitor for the AWS Panorama Appliance
After=network.target

[Service]
Type=exec
ExecStart={program} record {interfaces}-o /var/lib/panotui/{name} {socket}{options}
# SIGTERM ends the recorder cleanly: what it holds is written first.
KillSignal=SIGTERM
TimeoutStopSec=30
Restart=on-failure
RestartSec=5

# It opens packet sockets with these two capabilities and gives them up before the first packet.
DynamicUser=yes
AmbientCapabilities=CAP_NET_RAW CAP_NET_ADMIN
CapabilityBoundingSet=CAP_NET_RAW CAP_NET_ADMIN CAP_SETPCAP
NoNewPrivileges=yes

StateDirectory=panotui
StateDirectoryMode=0750
RuntimeDirectory=panotui
RuntimeDirectoryMode=0755
UMask=0027
ProtectSystem=strict
ProtectHome={protect_home}
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
ProtectProc=invisible
RestrictAddressFamilies=AF_PACKET AF_NETLINK AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
RemoveIPC=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM
SystemCallFilter=setuid setgid setgroups setresuid setresgid capset chown fchown fchownat
MemoryMax=512M
TasksMax=64

[Install]
WantedBy=multi-user.target
"""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,40}\Z")
_PATH = re.compile(r"[A-Za-z0-9_./+:@-]+\Z")


@click.command()
@click.argument("interfaces", nargs=-1, metavar="[INTERFACE]...")
@click.option("--name", default="recorder", show_default=True, help="The recording's name.")
@click.option("--site", type=click.Path(path_type=Path), metavar="FILE", help="Site file to use.")
@click.option("--max-size", default="2GB", show_default=True, help="As for `record`.")
@common_options
def command(
    interfaces: tuple[str, ...],
    name: str,
    site: Path | None,
    max_size: str,
    verbose: bool,
    no_color: bool,
) -> int:
    """Print a hardened systemd unit for the recorder."""
    from panotui.commands.options import size_bytes

    size_bytes(max_size)
    for word in (name, *interfaces):
        if not _NAME.match(word):
            raise UsageError(f"name {word[:40]}", "only letters, digits, . _ and - are taken")
    options = f" --max-size {max_size.replace(' ', '')}"
    if site is not None:
        path = str(site.resolve())
        if not _PATH.match(path):
            raise UsageError(path, "a path in a unit has no spaces or special characters")
        options += f" --site {path}"
    at_home = any(_program().startswith(f"{p}/") for p in ("/home", "/root"))
    click.echo(
        _UNIT.format(
            arguments=" ".join((*interfaces, "")),
            program=_program(),
            interfaces=" ".join((*interfaces, "")),
            name=name,
            socket=f"--socket /run/panotui/{name}.sock",
            options=options,
            protect_home="read-only" if at_home else "yes",
        ),
        nl=False,
    )
    return 0


def _program() -> str:
    """How this very installation is started."""
    beside = Path(sys.executable).parent / "panotui"
    if beside.exists():
        return str(beside)
    found = shutil.which("panotui")
    return found or f"{sys.executable} -m panotui"
