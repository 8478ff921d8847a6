"""Does a resolver answer for a name? One question, one answer, timed."""

from __future__ import annotations

import time

from panotui.probes.result import ProbeResult


def resolve(
    name: str, server: str | None = None, timeout_s: float = 3.0, port: int = 53
) -> tuple[ProbeResult, tuple[str, ...]]:
    """(result, addresses) of an A query to `server`, or to the system's resolvers."""
    import dns.exception
    import dns.resolver

    target = f"{name} at {server}" if server else name
    try:
        resolver = dns.resolver.Resolver(configure=server is None)
    except dns.resolver.NoResolverConfiguration:
        return _failed(target, "no resolver is configured", "Set one in /etc/resolv.conf."), ()
    if server is not None:
        resolver.nameservers = [server]
        resolver.port = port
    resolver.lifetime = resolver.timeout = timeout_s
    began = time.monotonic()
    try:
        answer = resolver.resolve(name, "A", raise_on_no_answer=False)
    except dns.resolver.NXDOMAIN:
        return _failed(target, "the name does not exist (NXDOMAIN)", "Check the resolver."), ()
    except dns.resolver.NoNameservers:
        return _failed(target, "the resolver fails (SERVFAIL or REFUSED)", "Check it."), ()
    except dns.exception.Timeout:
        why = f"no answer within {timeout_s:g} s"
        return _failed(target, why, "Allow UDP 53 to the resolver, or use another."), ()
    except (dns.exception.DNSException, OSError) as error:
        return _failed(target, str(error)[:120], "Check the resolver and the route to it."), ()
    ms = (time.monotonic() - began) * 1000
    addresses = tuple(str(item) for item in answer.rrset or ())
    if not addresses:
        return _failed(target, "the name has no IPv4 address", "Check the name."), ()
    text = f"{addresses[0]}{f' and {len(addresses) - 1} more' if len(addresses) > 1 else ''}"
    return ProbeResult(kind="dns", target=target, ok=True, text=text, ms=ms), addresses


def _failed(target: str, text: str, action: str) -> ProbeResult:
    return ProbeResult(kind="dns", target=target, ok=False, text=text, action=action)
