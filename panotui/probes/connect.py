"""Checks whether a server accepts a TCP connection, and whether its TLS is valid."""

from __future__ import annotations

import socket
import ssl
import time
from datetime import UTC, datetime
from pathlib import Path

from panotui.probes.result import ProbeResult
from panotui.wire import x509

MQTT_ALPN = "x-amzn-mqtt-ca"  # AWS IoT: MQTT on port 443
EXPIRES_SOON_S = 14 * 86_400
# Alerts by which a server requests the device's own certificate.
_WANTS_CERTIFICATE = ("CERTIFICATE_REQUIRED", "ALERT_BAD_CERTIFICATE")


def tcp(host: str, port: int, timeout_s: float = 4.0) -> ProbeResult:
    """Open one connection, and close it again."""
    target = _place(host, port)
    began = time.monotonic()
    try:
        with socket.create_connection((host, port), timeout_s):
            ms = (time.monotonic() - began) * 1000
            return ProbeResult(kind="tcp", target=target, ok=True, text="connects", ms=ms)
    except OSError as error:
        return _unconnected("tcp", target, error, timeout_s, port)


_authorities: str | None = None  # replaces the system's file of certificates


def read_authorities() -> None:
    """Read the system's certificate authorities now: their file may be out of reach later."""
    global _authorities
    file = ssl.get_default_verify_paths().cafile
    try:
        text = Path(file).read_text("ascii", "replace") if file else ""
        ssl.create_default_context(cadata=text or None)
    except (OSError, ValueError):  # ssl.SSLError is an OSError
        return
    _authorities = text or None


def trusting() -> ssl.SSLContext:
    """A context that trusts the system's authorities."""
    return ssl.create_default_context(cadata=_authorities)


def tls(
    host: str,
    port: int,
    *,
    address: str | None = None,
    alpn: str | None = None,
    timeout_s: float = 5.0,
    context: ssl.SSLContext | None = None,
) -> ProbeResult:
    """A handshake with `host` as SNI; its chain is verified against the system's authorities.

    `context`: other authorities (tests). Nothing is sent after the handshake. If a server ends it
    because it wants the device's certificate, nothing more can be tested from here.
    """
    target = _place(host, port)
    checked = context or trusting()
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
        shown = _shown_certificate(host, port, address, timeout_s)
        return ProbeResult(
            kind="tls",
            target=target,
            ok=False,
            text=f"the certificate is not accepted: {error.verify_message}",
            action="Exempt this name from TLS inspection; check this machine's clock.",
            detail=shown,
        )
    except ssl.SSLError as error:
        ms = (time.monotonic() - began) * 1000
        return _no_handshake(target, error, ms)
    except OSError as error:
        return _unconnected("tls", target, error, timeout_s, port)


def _no_handshake(target: str, error: ssl.SSLError, ms: float) -> ProbeResult:
    reason = error.reason or str(error)
    if any(alert in reason for alert in _WANTS_CERTIFICATE):
        return ProbeResult(
            kind="tls",
            target=target,
            ok=True,
            text="reached; it asks for the device's certificate, which only the appliance has",
            ms=ms,
        )
    return ProbeResult(
        kind="tls",
        target=target,
        ok=False,
        text=f"the handshake fails: {reason.replace('_', ' ').lower()}",
        action="Look for a proxy or a TLS inspection on the way.",
    )


def _secured(target: str, secured: ssl.SSLSocket, alpn: str | None, ms: float) -> ProbeResult:
    agreed = secured.selected_alpn_protocol()
    detail = _certificate(secured.getpeercert(binary_form=True))
    if alpn and agreed != alpn:
        return ProbeResult(
            kind="tls",
            target=target,
            ok=False,
            text=f"the server did not take ALPN {alpn}",
            action="Let ALPN pass: a proxy on the way strips it.",
            ms=ms,
            detail=detail,
        )
    return ProbeResult(
        kind="tls",
        target=target,
        ok=True,
        text=f"{secured.version()}{f' with {agreed}' if agreed else ''}",
        ms=ms,
        detail=detail,
    )


def _shown_certificate(
    host: str, port: int, address: str | None, timeout_s: float
) -> tuple[str, ...]:
    """The issuer of a rejected certificate: usually the name of an inspecting proxy.

    Makes a second handshake without verification; its connection is closed unused.
    """
    context = trusting()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with (
            socket.create_connection((address or host, port), timeout_s) as plain,
            context.wrap_socket(plain, server_hostname=host) as secured,
        ):
            return _certificate(secured.getpeercert(binary_form=True))
    except OSError:  # ssl.SSLError is one
        return ()


def _certificate(der: bytes | None) -> tuple[str, ...]:
    shown = x509.parse(der) if der else None
    if shown is None:
        return ()
    issuer = " ".join(dict.fromkeys(w for w in (shown.issuer_organisation, shown.issuer) if w))
    said = (f"issued by {issuer}" if issuer else "", _validity(shown.not_after_ns))
    return tuple(words for words in said if words)


def _validity(until_ns: int | None) -> str:
    if until_ns is None:
        return ""
    date = datetime.fromtimestamp(until_ns / 1e9, UTC).strftime("%Y-%m-%d")
    left_s = until_ns / 1e9 - time.time()
    if left_s < 0:
        return f"expired on {date}"
    soon = f" (in {int(left_s // 86_400)} days)" if left_s < EXPIRES_SOON_S else ""
    return f"until {date}{soon}"


def _unconnected(
    kind: str, target: str, error: OSError, timeout_s: float, port: int
) -> ProbeResult:
    if isinstance(error, TimeoutError):
        text = f"no answer within {timeout_s:g} s: something drops it"
        action = f"Allow outbound TCP {port} to it at the firewall."
    elif isinstance(error, ConnectionRefusedError):
        text = "refused: nothing listens, or a firewall rejects"
        action = f"Allow outbound TCP {port} to it at the firewall; check the port."
    elif isinstance(error, ConnectionResetError):
        text = "reset in the middle of the handshake"
        action = "Look for a firewall that filters by name (SNI), and allow this one."
    elif isinstance(error, socket.gaierror):
        text, action = "its name does not resolve", "Check DNS first."
    else:
        text, action = error.strerror or str(error), "Check the route to it."
    return ProbeResult(kind=kind, target=target, ok=False, text=text, action=action)


def _place(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
