"""Checks whether a resolver answers for a name: one question, one answer, timed."""

from __future__ import annotations

import ipaddress
import time
from typing import TYPE_CHECKING

from panotui.probes.result import ProbeResult

if TYPE_CHECKING:
    import dns.resolver


def system_resolvers() -> tuple[str, ...]:
    """Addresses of the resolvers that this machine uses; empty when none is configured."""
    import dns.exception
    import dns.resolver

    try:
        return tuple(str(server) for server in dns.resolver.Resolver().nameservers)
    except (dns.exception.DNSException, OSError):
        return ()


def resolve(
    name: str, server: str | None = None, timeout_s: float = 3.0, port: int = 53
) -> tuple[ProbeResult, tuple[str, ...]]:
    """(result, addresses) of an A query to `server`, or to the system's resolvers; AAAA is queried
    for a name without an IPv4 address. An address resolves to itself.
    """
    import dns.exception
    import dns.resolver

    target = f"{name} at {server}" if server else name
    if _is_address(name):
        return ProbeResult(kind="dns", target=target, ok=True, text="is an address"), (name,)
    try:
        resolver = dns.resolver.Resolver(configure=server is None)
    except dns.resolver.NoResolverConfiguration:
        return _failed(target, "no resolver is configured", "Set one in /etc/resolv.conf."), ()
    if server is not None:
        resolver.nameservers = [server]
        resolver.port = port
    resolver.lifetime = timeout_s
    resolver.timeout = timeout_s / 2  # a lost datagram is repeated once
    began = time.monotonic()
    try:
        addresses = _addresses(resolver, name)
    except dns.resolver.NXDOMAIN:
        return _failed(
            target,
            "the name does not exist (NXDOMAIN)",
            "Allow the name in the DNS filter, or use a resolver that knows the internet.",
        ), ()
    except dns.resolver.NoNameservers as error:
        said = _codes(error)
        return _failed(
            target,
            f"the resolver fails ({said})",
            "Ask its owner: it refuses this client, or cannot reach its own upstream.",
        ), ()
    except dns.exception.Timeout:
        why = f"no answer within {timeout_s:g} s"
        return _failed(target, why, "Allow UDP 53 to the resolver, or use another."), ()
    except (dns.exception.DNSException, OSError) as error:
        return _failed(target, str(error)[:120], "Check the resolver and the route to it."), ()
    ms = (time.monotonic() - began) * 1000
    if not addresses:
        return _failed(target, "the name has no address", "Check the name."), ()
    text = f"{addresses[0]}{f' and {len(addresses) - 1} more' if len(addresses) > 1 else ''}"
    return ProbeResult(kind="dns", target=target, ok=True, text=text, ms=ms), addresses


def _addresses(resolver: dns.resolver.Resolver, name: str) -> tuple[str, ...]:
    answer = resolver.resolve(f"{name}.", "A", raise_on_no_answer=False)
    if not answer.rrset:
        answer = resolver.resolve(f"{name}.", "AAAA", raise_on_no_answer=False)
    return tuple(str(item) for item in answer.rrset or ())


def _codes(error: dns.resolver.NoNameservers) -> str:
    text = str(error)
    said = [code for code in ("SERVFAIL", "REFUSED", "FORMERR", "NOTIMP") if code in text]
    return " and ".join(said) or "no usable answer"


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _failed(target: str, text: str, action: str) -> ProbeResult:
    return ProbeResult(kind="dns", target=target, ok=False, text=text, action=action)
