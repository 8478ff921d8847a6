"""Does a server take a TCP connection, and is its TLS what it should be?"""

from __future__ import annotations

import socket
import ssl
import time
from typing import Any

from panotui.probes.result import ProbeResult

MQTT_ALPN = "x-amzn-mqtt-ca"  # AWS IoT: MQTT on port 443


def tcp(host: str, port: int, timeout_s: float = 4.0) -> ProbeResult:
    """One connection, closed again."""
    target = f"{host}:{port}"
    began = time.monotonic()
    try:
        with socket.create_connection((host, port), timeout_s):
            ms = (time.monotonic() - began) * 1000
            return ProbeResult(kind="tcp", target=target, ok=True, text="connects", ms=ms)
    except OSError as error:
        return _unconnected("tcp", target, error, timeout_s, port)


def tls(
    host: str,
    port: int,
    *,
    address: str | None = None,
    alpn: str | None = None,
    timeout_s: float = 5.0,
    context: ssl.SSLContext | None = None,
) -> ProbeResult:
    """A handshake with `host` as SNI, its chain checked against the system's authorities.

    `context`: other authorities (tests). Nothing is sent after the handshake.
    """
    target = f"{host}:{port}"
    checked = context or ssl.create_default_context()
    if alpn:
        checked.set_alpn_protocols([alpn])
    began = time.monotonic()
    try:
        with (
            socket.create_connection((address or host, port), timeout_s) as plain,
            checked.wrap_socket(plain, server_hostname=host) as secured,
        ):
            ms = (time.monotonic() - began) * 1000
            return _secured(target, secured, alpn, ms)
    except ssl.SSLCertVerificationError as error:
        return ProbeResult(
            kind="tls",
            target=target,
            ok=False,
            text=f"the certificate is not accepted: {error.verify_message}",
            action="Exempt this name from TLS inspection; check this machine's clock.",
        )
    except ssl.SSLError as error:
        why = (error.reason or str(error)).replace("_", " ").lower()
        return ProbeResult(
            kind="tls",
            target=target,
            ok=False,
            text=f"the handshake fails: {why}",
            action="Look for a proxy or a TLS inspection on the way.",
        )
    except OSError as error:
        return _unconnected("tls", target, error, timeout_s, port)


def _secured(target: str, secured: ssl.SSLSocket, alpn: str | None, ms: float) -> ProbeResult:
    certificate = secured.getpeercert() or {}
    names: Any = certificate.get("issuer", ())
    issuer = next((str(v) for part in names for k, v in part if k == "organizationName"), "")
    until = str(certificate.get("notAfter", ""))
    agreed = secured.selected_alpn_protocol()
    detail = [f"issued by {issuer}" if issuer else "", f"until {until}" if until else ""]
    if alpn and agreed != alpn:
        return ProbeResult(
            kind="tls",
            target=target,
            ok=False,
            text=f"the server did not take ALPN {alpn}",
            action="Let ALPN pass: a proxy on the way strips it.",
            ms=ms,
        )
    return ProbeResult(
        kind="tls",
        target=target,
        ok=True,
        text=f"{secured.version()}{f' with {agreed}' if agreed else ''}",
        ms=ms,
        detail=tuple(word for word in detail if word),
    )


def _unconnected(
    kind: str, target: str, error: OSError, timeout_s: float, port: int
) -> ProbeResult:
    if isinstance(error, TimeoutError):
        text = f"no answer within {timeout_s:g} s: something drops it"
        action = f"Allow outbound TCP {port} to it at the firewall."
    elif isinstance(error, ConnectionRefusedError):
        text, action = "refused: nothing listens, or a firewall rejects", "Check port and firewall."
    elif isinstance(error, socket.gaierror):
        text, action = "its name does not resolve", "Check DNS first."
    else:
        text, action = error.strerror or str(error), "Check the route to it."
    return ProbeResult(kind=kind, target=target, ok=False, text=text, action=action)
