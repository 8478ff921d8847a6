"""`panotui service`: a hardened systemd unit for the recorder, on stdout; with `--template`, one
with an instance per site.
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import click

from panotui.commands.options import common_options, read_site
from panotui.errors import UsageError

_ONE = """\
# /etc/systemd/system/panotui.service
# Install:  panotui service {arguments}> /etc/systemd/system/panotui.service
#           systemctl daemon-reload && systemctl enable --now panotui
"""
_TEMPLATE = """\
# /etc/systemd/system/panotui@.service
# Install:  panotui service --template {arguments}> /etc/systemd/system/panotui@.service
# A site:   /etc/panotui/NAME.toml is its site file, and names its interfaces;
#           /etc/panotui/NAME.env may hold PANOTUI_OPTIONS=--syslog tls://... and the like;
#           systemctl daemon-reload && systemctl enable --now panotui@NAME
"""
_UNIT = """\
[Unit]
Description=Panotui recorder{of_site}: network monitor for the AWS Panorama Appliance
After=network.target
StartLimitIntervalSec=300
StartLimitBurst=10

[Service]
# It says when it records, and at least every ten seconds that it lives.
Type=notify
NotifyAccess=main
WatchdogSec=30
TimeoutStartSec=60
{environment}ExecStart={program} record {interfaces}-o {recording} {socket}{options}
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

StateDirectory={folder}
StateDirectoryMode=0750
RuntimeDirectory={folder}
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
@click.option("--template", is_flag=True, help="panotui@.service, one instance per site.")
@click.option("--max-size", default="2GB", show_default=True, help="As for `record`.")
@common_options
def command(
    interfaces: tuple[str, ...],
    name: str,
    site: Path | None,
    template: bool,
    max_size: str,
    verbose: bool,
    no_color: bool,
) -> int:
    """Print a hardened systemd unit for the recorder.

    With --template the unit is `panotui@.service`: `systemctl enable --now panotui@plant-7` records
    the site of /etc/panotui/plant-7.toml.
    """
    from panotui.commands.options import size_bytes

    size_bytes(max_size)
    for word in (name, *interfaces):
        if not _NAME.match(word):
            raise UsageError(f"name {word[:40]}", "only letters, digits, . _ and - are allowed")
    options = f" --max-size {max_size.replace(' ', '')}"
    if template and (site is not None or name != "recorder"):
        raise UsageError(
            "--template", "an instance uses its site's name and file", "Omit --name and --site."
        )
    if template:
        options += " --site /etc/panotui/%i.toml $PANOTUI_OPTIONS"
    elif site is not None:
        read_site(site)  # a unit that fails at each start is useless: report the error now
        path = str(site.resolve())
        if not _PATH.match(path):
            raise UsageError(path, "a path in a unit has no spaces or special characters")
        options += f" --site {path}"
    at_home = any(_program().startswith(f"{p}/") for p in ("/home", "/root"))
    folder, what = ("panotui/%i", "%i") if template else ("panotui", name)
    click.echo(
        (_TEMPLATE if template else _ONE).format(arguments=" ".join((*interfaces, "")))
        + _UNIT.format(
            of_site=" of %i" if template else "",
            environment="EnvironmentFile=-/etc/panotui/%i.env\n" if template else "",
            program=_program(),
            interfaces=" ".join((*interfaces, "")),
            recording=f"/var/lib/{folder}/{what}",
            folder=folder,
            socket=f"--socket /run/{folder}/{what}.sock",
            options=options,
            protect_home="read-only" if at_home else "yes",
        ),
        nl=False,
    )
    return 0


def _program() -> str:
    """The command that starts this installation."""
    beside = Path(sys.executable).parent / "panotui"
    if beside.exists():
        return str(beside)
    found = shutil.which("panotui")
    return found or f"{sys.executable} -m panotui"
