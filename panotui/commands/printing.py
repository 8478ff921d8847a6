"""Prints a page for a command that gives up its rights: a separate process runs the browser.

Root's `report` reads hostile bytes in a process that cannot open anything else afterwards,
including a browser. The printing process is therefore forked before. It gives up every privilege
when it gets its page, and returns the PDF. For other users the browser is simply started.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Callable, Iterator

from panotui.commands.confined import is_roots_own
from panotui.errors import PanotuiError, UsageError
from panotui.report.pdf import browser, pdf

_MADE, _FAILED = b"+", b"-"


@contextlib.contextmanager
def printer() -> Iterator[Callable[[str], bytes]]:
    """A function that makes a PDF of a page. UsageError if no browser is installed."""
    program = browser()
    if not is_roots_own():
        yield lambda page: pdf(page, program)
        return
    ours, theirs = socket.socketpair()
    child = os.fork()
    if not child:
        code = 70
        try:
            ours.close()
            os.setsid()
            _serve(theirs, program)
            code = 0
        finally:
            os._exit(code)
    theirs.close()
    try:
        yield lambda page: _printed(ours, page)
    finally:
        ours.close()
        # It may have no page yet, or be working on one that is no longer needed.
        with contextlib.suppress(OSError):
            os.kill(child, signal.SIGTERM)
        os.waitpid(child, 0)


def _printed(printer: socket.socket, page: str) -> bytes:
    printer.sendall(page.encode("utf-8", "backslashreplace"))
    printer.shutdown(socket.SHUT_WR)
    answer = _all(printer)
    if answer[:1] == _MADE:
        return answer[1:]
    what, _, rest = answer[1:].decode("utf-8", "replace").partition("\0")
    why, _, remedy = rest.partition("\0")
    raise UsageError(what or "--pdf", why or "the process that prints has ended", remedy)


def _serve(client: socket.socket, program: str) -> None:
    """One page in, one PDF out."""
    page = _all(client)
    if not page:
        return
    from panotui.sources.live import privileges  # needs Linux; reports on other systems do not

    try:
        privileges.drop()
        answer = _MADE + pdf(page.decode("utf-8", "replace"), program)
    except PanotuiError as error:
        answer = _FAILED + f"{error.what}\0{error.why}\0{error.remedy}".encode()
    except OSError as error:
        answer = _FAILED + f"--pdf\0{error.strerror or error}\0Set TMPDIR.".encode()
    client.sendall(answer)


def _all(connection: socket.socket) -> bytes:
    pieces = []
    while piece := connection.recv(1 << 20):
        pieces.append(piece)
    return b"".join(pieces)
