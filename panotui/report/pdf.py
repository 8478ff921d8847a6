"""A page as PDF, by the Chromium that is installed: text of a page in, bytes of a PDF out.

The browser runs headless in a folder of its own that is removed afterwards. The page forbids
loading anything, and the browser is configured not to reach any host.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from panotui.errors import UsageError

NAMES = (
    "chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome",
    "headless_shell", "microsoft-edge",
)  # fmt: skip
TIMEOUT_S = 120.0
# The browser would fetch updates, lists and time on its own: all of that is off, and no name
# resolves.
_QUIET = (
    "--headless", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
    "--disable-component-update", "--disable-default-apps", "--disable-extensions",
    "--disable-sync", "--disable-domain-reliability", "--disable-client-side-phishing-detection",
    "--disable-features=OptimizationHints,MediaRouter,Translate,NetworkTimeServiceQuerying",
    "--no-first-run", "--no-default-browser-check", "--no-pings", "--metrics-recording-only",
    "--password-store=basic", "--use-mock-keychain", "--host-resolver-rules=MAP * ~NOTFOUND",
    "--proxy-server=127.0.0.1:9", "--no-pdf-header-footer",
)  # fmt: skip


def browser(which: Callable[[str], str | None] = shutil.which) -> str:
    """The installed Chromium; UsageError if there is none."""
    for name in NAMES:
        found = which(name)
        if found is not None:
            return found
    raise UsageError(
        "--pdf", "no Chromium is installed here",
        "Install it, or write a page (-o report.html) and print that from a browser.",
    )  # fmt: skip


def pdf(page: str, program: str | None = None, *, timeout_s: float = TIMEOUT_S) -> bytes:
    """The page printed. UsageError if the browser is missing or fails."""
    program = program or browser()
    with tempfile.TemporaryDirectory(prefix="panotui-pdf-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        source, target = folder / "report.html", folder / "report.pdf"
        source.write_text(page, encoding="utf-8", errors="backslashreplace")
        command = [program, *_QUIET, f"--user-data-dir={folder / 'profile'}"]
        command += [f"--print-to-pdf={target}", source.as_uri()]
        # Files that it would keep in the user's folders go into that one, too.
        environment = {**os.environ, "HOME": name, "XDG_CONFIG_HOME": name, "XDG_CACHE_HOME": name}
        # Chromium has no sandbox as root, nor if the kernel gives it no namespaces. The page has no
        # script that a sandbox would have to contain.
        for sandbox in ([], ["--no-sandbox"]):
            if not sandbox and os.geteuid() == 0:
                continue
            try:
                subprocess.run(
                    [*command, *sandbox], env=environment, stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=timeout_s,
                    check=False, cwd=folder,
                )  # fmt: skip
            except subprocess.TimeoutExpired:
                raise _failed(program, f"it took more than {timeout_s:g} s") from None
            except OSError as error:
                raise _failed(program, error.strerror or str(error)) from None
            if target.exists():
                break
        try:
            made = target.read_bytes()
        except OSError:
            raise _failed(program, "it made no file") from None
    if not made.startswith(b"%PDF-"):
        raise _failed(program, "its output is not a PDF")
    return made


def _failed(program: str, why: str) -> UsageError:
    return UsageError(
        f"--pdf with {Path(program).name}", why, "Write a page (-o report.html) and print that."
    )
