"""What to check for a site: the site file and the policy in, checks out; nothing is sent yet.

Only hosts named by the site file, the policy of its region or the user are ever contacted. Names
that are different for each AWS account (the IoT endpoint) are in no policy: they are reported as
skipped until the user names them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from panotui.errors import UsageError
from panotui.model import Site, SiteCamera
from panotui.policy.rules import Policy, Rule, expand_regions
from panotui.probes import connect
from panotui.probes.gateway import gateway, gateways
from panotui.probes.names import resolve, system_resolvers
from panotui.probes.ntp import ntp
from panotui.probes.result import ProbeResult, skipped
from panotui.probes.rtsp import rtsp
from panotui.probes.run import Check
from panotui.site.addresses import INTERNET, LOOPBACK, PRIVATE, UNSPECIFIED, scope_of
from panotui.site.hosts import canonical_host

HOSTS_MAX = 64
CAMERAS_MAX = 64
RESOLVERS_MAX = 3
PUBLIC_TIME = "pool.ntp.org"  # the appliance's own default
# The slowest check (three silent resolvers, then TCP and TLS) ends within `run.TOTAL_S`.
DNS_S, TCP_S, TLS_S = 2.5, 3.0, 3.0
Credentials = Callable[[str], tuple[str | None, str | None]]


class Host(Struct, frozen=True):
    """A server to reach, and its purpose."""

    name: str  # for users: "CW Logs"
    host: str
    port: int
    tls: bool
    alpn: str | None = None
    cloud: bool = False  # an AWS name: its valid addresses are known


def checks(site: Site, extra: Sequence[str], credentials: Credentials) -> list[Check]:
    """All checks for a site, lowest layer first; `extra` are HOST or HOST:PORT from the user.
    `credentials` returns user and password of a camera. UsageError for an invalid host.
    """
    named = [_named(text, site) for text in extra]
    found = [*_missing(site), *_gateways(site)]
    servers = tuple(site.network.dns) or system_resolvers()
    hosts, unknown = cloud_hosts(site)
    wanted = {(h.host, h.port): h for h in (*hosts, *named)}
    found += _resolvers(servers, bool(wanted), site.site.private_link)
    found += [_time(server, servers) for server in site.network.ntp or (PUBLIC_TIME,)]
    for host in list(wanted.values())[:HOSTS_MAX]:
        run = partial(_reach, host, servers[:RESOLVERS_MAX], site.site.private_link)
        found.append(Check("tls" if host.tls else "tcp", host.name, host.host, run))
    known_rules = {h.name for h in wanted.values()}
    found += [
        _skip("tls", label, pattern, "its name is the account's own",
              f"Name it: --host NAME (any that fits {pattern}), or a [[service]] in the site file.")
        for label, pattern in unknown
        if label not in known_rules
    ]  # fmt: skip
    found += [_camera(camera, credentials, servers) for camera in site.camera[:CAMERAS_MAX]]
    return found


def cloud_hosts(site: Site) -> tuple[list[Host], list[tuple[str, str]]]:
    """(hosts to reach, (label, pattern) of needed services whose name depends on the account).

    No AWS hosts in camera-only mode or without a region: a guess would send packets to places that
    nobody named.
    """
    policy = Policy.for_site(site)
    hosts: list[Host] = []
    unknown: list[tuple[str, str]] = []
    for rule in policy.rules:
        if rule.kind == "service":
            hosts += _service_hosts(rule, policy)
        elif rule.kind == "cloud" and rule.needed and policy.region and _is_normal(site):
            one = _representative(rule, policy.region)
            if one is None:
                pattern = expand_regions(rule.hosts[0], (policy.region,))[0]
                unknown.append((rule.label, pattern))
            else:
                hosts.append(Host(rule.label, one, int(rule.ports[0]), True, cloud=True))
    return hosts, unknown


def _is_normal(site: Site) -> bool:
    return site.site.mode == "normal"


def _representative(rule: Rule, region: str) -> str | None:
    """The shortest name of a service that all accounts share; None if each has its own."""
    if "*" in rule.hosts[0]:
        return None
    shared = [host for host in rule.hosts if "*" not in host]
    return expand_regions(min(shared, key=len), (region,))[0]


def _service_hosts(rule: Rule, policy: Policy) -> list[Host]:
    if rule.direction != "out" or "tcp" not in rule.transports:
        return []
    return [
        _host(rule.label, host, int(port), policy, tls=rule.tls or port == "443")
        for host in rule.hosts
        for port in rule.ports
        if "*" not in host and port.isdigit()
    ]


def _host(label: str, host: str, port: int, policy: Policy, *, tls: bool) -> Host:
    known = [match.rule for match in policy.match_host(host) if match.rule.kind == "cloud"]
    mqtt = bool(known) and known[0].id == "iot" and port == 443  # most specific first
    alpn = connect.MQTT_ALPN if mqtt else None
    return Host(label, host, port, tls or bool(known), alpn=alpn, cloud=bool(known))


def _named(text: str, site: Site) -> Host:
    host, _, port = text.rpartition(":") if text.count(":") == 1 else (text, "", "443")
    name = canonical_host(host)
    if name is None or "*" in name or not port.isdecimal() or not 0 < int(port[:6]) < 65_536:
        raise UsageError(f"--host {text}", "not a HOST or HOST:PORT", "See --help.")
    policy = Policy.for_site(site)
    known = [m.rule for m in policy.match_host(name) if m.rule.kind in ("cloud", "service")]
    label = known[0].label if known else name
    return _host(label, name, int(port), policy, tls=int(port) in (443, 8443, 8883))


# ------------------------------------------------------------------ one check each


def _skip(kind: str, name: str, target: str, why: str, action: str) -> Check:
    return Check(kind, name, target, lambda: (_call(skipped(kind, target, why, action), name),))


def _call(result: ProbeResult, name: str) -> ProbeResult:
    return msgspec.structs.replace(result, name=name)


def _missing(site: Site) -> list[Check]:
    found = []
    if site.site.region is None and _is_normal(site):
        found.append(
            _skip("site", "AWS services", "region", "no region is known, so no AWS name is tried",
                  "Set site.region in the site file (panotui init drafts one), or use --host.")
        )  # fmt: skip
    if not site.camera:
        found.append(
            _skip("site", "cameras", "camera", "no camera is known",
                  "Add a [[camera]] with its url to the site file (panotui init drafts one).")
        )  # fmt: skip
    return found


def _gateways(site: Site) -> list[Check]:
    ways = [(address, "") for address in site.network.gateways] or gateways()
    if not ways:
        return [
            _skip("gateway", "gateway", "default", "this machine has no default gateway",
                  "Name it as network.gateways in the site file, or mend the address set-up.")
        ]  # fmt: skip
    return [
        Check("gateway", "gateway", address, partial(_ask_gateway, address, device))
        for address, device in ways
    ]


def _ask_gateway(address: str, device: str) -> Sequence[ProbeResult]:
    return (_call(gateway(address, device), "gateway"),)


def _resolvers(servers: Sequence[str], asked: bool, private_link: bool) -> list[Check]:
    """Each resolver is asked once, for a name that any must know; needed names come with their
    hosts.
    """
    if not servers:
        return [
            _skip("dns", "resolver", "none", "no resolver is configured",
                  "Name one as network.dns in the site file, or in /etc/resolv.conf.")
        ]  # fmt: skip
    if asked:
        return []
    return [
        Check("dns", "resolver", server, partial(_ask_resolver, server))
        for server in servers[:RESOLVERS_MAX]
    ]


def _ask_resolver(server: str) -> Sequence[ProbeResult]:
    result = resolve(PUBLIC_TIME, server, DNS_S)[0]
    if "NXDOMAIN" in result.text:  # it answers, which is all that was asked
        text = f"answers, but does not know {PUBLIC_TIME}"
        result = msgspec.structs.replace(result, ok=True, text=text, action="")
    return (_call(result, "resolver"),)


def _time(server: str, servers: Sequence[str]) -> Check:
    def run() -> Sequence[ProbeResult]:
        named, addresses = _lookup(server, servers)
        if not addresses:
            return (_nameless(named, "ntp", server, "time server"),)
        return (_call(ntp(server, address=addresses[0]), "time server"),)

    return Check("ntp", "time server", server, run)


def _nameless(named: ProbeResult, kind: str, target: str, name: str) -> ProbeResult:
    text = f"its name is not resolved: {named.text}"
    return msgspec.structs.replace(named, kind=kind, target=target, name=name, text=text)


def _lookup(host: str, servers: Sequence[str]) -> tuple[ProbeResult, tuple[str, ...]]:
    """The first successful resolver; otherwise the failure of the last one."""
    result, addresses = resolve(host, servers[0] if servers else None, DNS_S)
    for server in servers[1:RESOLVERS_MAX]:
        if addresses:
            break
        result, addresses = resolve(host, server, DNS_S)
    return result, addresses


def _reach(host: Host, servers: Sequence[str], private_link: bool) -> Sequence[ProbeResult]:
    """DNS at each resolver, then TCP and TLS to the address; checks after a failure are skipped."""
    results: list[ProbeResult] = []
    usable: tuple[str, ...] = ()
    for server in servers or (None,):
        named, addresses = resolve(host.host, server, DNS_S)
        named = _judged_address(named, addresses, host, private_link)
        results.append(named)
        if named.ok and not usable:
            usable = addresses
    target = f"{host.host}:{host.port}"
    if not usable:
        results.append(skipped("tcp", target, "its name gave no usable address"))
        if host.tls:
            results.append(skipped("tls", target, "there is no connection to try it on"))
    else:
        connected = connect.tcp(usable[0], host.port, TCP_S)
        results.append(msgspec.structs.replace(connected, target=f"{target} ({usable[0]})"))
        if host.tls and connected.ok:
            results.append(
                connect.tls(
                    host.host, host.port, address=usable[0], alpn=host.alpn, timeout_s=TLS_S
                )
            )
        elif host.tls:
            results.append(skipped("tls", target, "there is no connection to try it on"))
    return [_call(result, host.name) for result in results]


def _judged_address(
    named: ProbeResult, addresses: Sequence[str], host: Host, private_link: bool
) -> ProbeResult:
    """An AWS name that leads to a private or invalid address was tampered with."""
    if not named.ok or not host.cloud:
        return named
    scope = scope_of(addresses[0])
    if scope == INTERNET or (scope == PRIVATE and private_link):
        if private_link and scope == INTERNET:
            note = "a public address although private_link is set"
            return msgspec.structs.replace(named, detail=(*named.detail, note))
        return named
    what = {PRIVATE: "a private", LOOPBACK: "a loopback", UNSPECIFIED: "an empty"}.get(
        scope, "an odd"
    )
    return msgspec.structs.replace(
        named,
        ok=False,
        text=f"{what} address ({addresses[0]}): a DNS filter or an interception answers",
        action="Exempt the name in the DNS filter; with PrivateLink set site.private_link = true.",
    )


def _camera(camera: SiteCamera, credentials: Credentials, servers: Sequence[str]) -> Check:
    name = f"camera {camera.name}"
    url = camera.url or f"rtsp://{camera.address}/"

    def run() -> Sequence[ProbeResult]:
        try:
            host = urlsplit(url).hostname or camera.address
        except ValueError:
            host = camera.address
        named, addresses = _lookup(host, servers)
        if not addresses:
            return (_nameless(named, "rtsp", host, name),)
        user, password = credentials(camera.name)
        return (_call(rtsp(url, user, password, address=addresses[0]), name),)

    return Check("rtsp", name, camera.address, run)
