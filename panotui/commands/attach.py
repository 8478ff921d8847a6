"""`panotui attach [SOCKET]`: the screen of a running recorder."""

from __future__ import annotations

import stat
from pathlib import Path

import click

from panotui.commands.options import common_options
from panotui.commands.preferences import preferences, screen_options
from panotui.commands.readable import SCREEN, drop_privileges, prepare_to_drop
from panotui.errors import InputError, PrivilegeError, UsageError


@click.command()
@click.argument("socket", required=False, type=click.Path(path_type=Path))
@screen_options
@common_options
def command(
    socket: Path | None,
    theme: str | None,
    units: str | None,
    mouse: bool | None,
    config_file: Path | None,
    verbose: bool,
    no_color: bool,
) -> int:
    """The screen of a running recorder; quitting does not end the recorder."""
    prepare_to_drop()
    from panotui.commands.terminal import end_on_signals, require_terminal

    path = socket if socket is not None else only_socket()
    check_access(path)
    require_terminal()
    end_on_signals()
    # The connection is made before root is given up, because only root may be able to open the
    # socket. The screen's libraries are loaded before, too.
    from panotui.feed.client import ReattachingClient

    settings, complaints = preferences(theme, mouse, config_file, units)
    from panotui.commands import confined_live
    from panotui.sources.live import landlock
    from panotui.tui import app
    from panotui.tui.remembered import first_start

    client = ReattachingClient(str(path), _connected(path))
    domain = confined_live.of_screen()
    drop_privileges(SCREEN)
    landlock.enter(domain)
    return int(app.run(client, mode="attach", no_color=no_color, hints=first_start(),
                       settings=settings, complaints=complaints))  # fmt: skip


def _connected(path: Path) -> int:
    import socket as sockets

    peer = sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM)
    try:
        peer.connect(str(path))
    except OSError as error:
        raise InputError(
            str(path), error.strerror or str(error), "Is a recorder running?"
        ) from None
    return peer.detach()


def check_access(path: Path) -> None:
    """Send one request and read its answer; a refusal by the recorder becomes one line.

    FeedError (exit 3) if nobody answers, PrivilegeError (exit 4) if it belongs to another user.
    """
    from panotui.feed.client import FeedClient
    from panotui.views.frames import Done, View

    try:
        mode = path.stat().st_mode
        if not stat.S_ISSOCK(mode):
            raise InputError(
                str(path), "this is not a recorder's socket", "Look at it with `panotui review`."
            )
    except PermissionError:
        raise PrivilegeError(
            str(path), "the socket belongs to another user", "Run as that user, or use sudo."
        ) from None
    except OSError:
        pass  # the client's message is better
    client = FeedClient.connect(str(path))
    try:
        answer = client.ask(View(rows=0))
    finally:
        client.close()
    if isinstance(answer, Done):
        raise PrivilegeError(
            str(path), answer.text, "Run as that user, join the socket's group, or use sudo."
        )


def only_socket(what: str = "attach") -> Path:
    """The socket of the one recorder that runs here. InputError without one, UsageError if there
    are several.
    """
    from panotui.feed.server import default_folders

    found = sorted(p for folder in default_folders() for p in _sockets(folder) if _alive(p))
    if not found:
        raise InputError(
            what, "no recorder is running here", "Start one with `panotui record -o DIR`."
        )
    if len(found) > 1:
        names = ", ".join(str(p) for p in found)
        raise UsageError(what, "several recorders are running", f"Name one of: {names}")
    return found[0]


def _sockets(folder: Path) -> list[Path]:
    try:
        return [*folder.glob("*.sock"), *folder.glob("*/*.sock")]
    except OSError:
        return []


def _alive(path: Path) -> bool:
    """Whether somebody listens: a killed recorder leaves its socket file behind."""
    import socket as sockets

    with sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM) as peer:
        peer.settimeout(1.0)
        try:
            peer.connect(str(path))
        except PermissionError:
            return True  # it reports this itself when connected to
        except OSError:
            return False
    return True
