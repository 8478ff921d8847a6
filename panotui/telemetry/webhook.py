"""Alerts to a webhook: each is POSTed as JSON until it is accepted, optionally with a bearer
token.
"""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from collections.abc import Callable
from email.message import Message
from typing import IO
from urllib.parse import urlsplit

import msgspec

from panotui import __version__
from panotui.errors import UsageError
from panotui.telemetry.alerts import Alert
from panotui.telemetry.delivery import PAUSE_MOST_S, Later, Refused
from panotui.telemetry.syslog import tls_context

TIMEOUT_S = 10.0
_AGAIN = frozenset({408, 425, 429})  # and all of 500 and above: temporary errors
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect would send the token to another host, and the POST as a GET."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str,
        headers: http.client.HTTPMessage | Message, newurl: str,
    ) -> None:  # fmt: skip
        return None


def receiver(
    url: str, *, token: str | None = None, ca: str | None = None, timeout_s: float = TIMEOUT_S
) -> Callable[[Alert], None]:
    """A function that delivers to `url`. `ca`: certificates in PEM to trust instead of the
    machine's.

    UsageError for an invalid address, and for a token that would be sent in cleartext.
    """
    parts = urlsplit(url)
    try:
        host = parts.hostname if parts.port != 0 else None
    except ValueError:
        host = None
    if parts.scheme not in ("http", "https") or not host:
        raise UsageError(f"--webhook {shown(url)}", "not an http or https address")
    if token is not None and parts.scheme == "http" and host not in _LOOPBACK:
        raise UsageError(
            f"--webhook {shown(url)}", "the token would be sent in the clear", "Use https."
        )
    headers = {"Content-Type": "application/json", "User-Agent": f"panotui/{__version__}"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    opener = urllib.request.build_opener(
        _NoRedirects(), urllib.request.HTTPSHandler(context=tls_context(ca))
    )

    def deliver(alert: Alert) -> None:
        request = urllib.request.Request(  # noqa: S310 - the scheme is checked above
            url, data=msgspec.json.encode(alert), headers=headers
        )
        try:
            with opener.open(request, timeout=timeout_s) as answer:
                answer.read(1024)
        except urllib.error.HTTPError as error:
            said = f"it answers {error.code} {error.reason}"[:200]
            with error:
                wanted = error.headers.get("Retry-After", "")
            if error.code < 500 and error.code not in _AGAIN:
                raise Refused(said) from None
            raise Later(said, _seconds(wanted)) from None
        except urllib.error.URLError as error:
            raise Later(str(getattr(error.reason, "strerror", None) or error.reason)) from None
        except http.client.HTTPException as error:
            raise Later(f"the answer is not HTTP ({type(error).__name__})") from None

    return deliver


def _seconds(text: str) -> float | None:
    """A Retry-After in seconds, bounded."""
    return min(float(text), PAUSE_MOST_S) if text.isascii() and text.isdigit() else None


def shown(url: str) -> str:
    """The address without parts that may be secret: user, path and query."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "that address"
    if not host:
        return "that address"
    where = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{where}{f':{port}' if port else ''}"
