"""Checks whether a time server answers, and the offset of this machine's clock from it."""

from __future__ import annotations

import struct

from panotui.probes.result import ProbeResult

OFFSET_MAX_S = 60.0  # TLS and signed requests tolerate minutes; a minute is worth reporting


def ntp(
    server: str, timeout_s: float = 3.0, port: int = 123, address: str | None = None
) -> ProbeResult:
    """One client request (RFC 5905); the clock is compared, never set."""
    import ntplib  # 8 ms, only for time checks

    target = f"{server}:{port}"
    where = address or server
    try:
        answer = ntplib.NTPClient().request(where, version=4, port=port, timeout=timeout_s)
    except ntplib.NTPException as error:
        return _failed(target, str(error)[:120] or "no answer")
    except (OSError, ValueError, struct.error) as error:  # ntplib unpacks any answer
        return _failed(target, str(error)[:120])
    ms = float(answer.delay) * 1000
    if answer.stratum == 0:
        return _failed(target, "it refuses this client (kiss of death)")
    if answer.stratum >= 16 or answer.leap == 3:
        return _failed(target, "it answers, but is not synchronised itself")
    offset = float(answer.offset)
    if abs(offset) > OFFSET_MAX_S:
        return ProbeResult(
            kind="ntp",
            target=target,
            ok=False,
            text=f"this machine's clock is off by {offset:+.1f} s",
            action="Set this machine's clock, or doubt this server.",
            ms=ms,
        )
    text = f"stratum {answer.stratum}, offset {offset * 1000:+.1f} ms"
    return ProbeResult(kind="ntp", target=target, ok=True, text=text, ms=ms)


def _failed(target: str, text: str) -> ProbeResult:
    return ProbeResult(
        kind="ntp",
        target=target,
        ok=False,
        text=text,
        action="Allow UDP 123 to it, or name another time server.",
    )
