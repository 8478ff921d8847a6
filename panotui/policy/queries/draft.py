"""A first site file drafted from traffic: a site view and judged flows in, TOML text out.

Each line has a comment with its evidence. Entries that would open the policy (a service that no
rule allows) are written as comments, for a person to decide.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

import numpy as np
import tomlkit
from msgspec import Struct
from tomlkit.items import Item, Table

from panotui.model import REASONS, address_text, mac_text
from panotui.model.flow_rows import AnyRows
from panotui.policy.judging.rows import VERDICTS, JudgedRows
from panotui.site.facts import SiteFacts
from panotui.site.file import LISTEN_PORTS, check_site
from panotui.site.view import SiteView
from panotui.wire.text import printable

COMMENT_MAX = 120


class SeenListen(Struct, frozen=True):
    """An inbound port on which the appliance answered."""

    port: int
    transport: str
    sources: tuple[str, ...]


class SeenService(Struct, frozen=True):
    """A peer of the appliance that no rule allows."""

    host: str
    port: int
    transport: str
    flows: int


def seen_listens(rows: AnyRows, judged: JudgedRows) -> tuple[SeenListen, ...]:
    """Answered inbound connections to ports that an application may open."""
    low, high = LISTEN_PORTS
    inbound = judged.reason == 1 + REASONS.index("inbound")
    wanted = inbound & (rows["dport"] >= low) & (rows["dport"] <= high) & (rows["packets_in"] > 0)
    found: dict[tuple[int, str], set[str]] = {}
    for row in rows[wanted][:4096]:
        transport = {6: "tcp", 17: "udp"}.get(row.protocol)
        if transport:
            source = address_text(row.version, row.src)
            found.setdefault((row.dport, transport), set()).add(source)
    return tuple(
        SeenListen(port, transport, tuple(sorted(sources)))
        for (port, transport), sources in sorted(found.items())
    )


def seen_services(rows: AnyRows, judged: JudgedRows, limit: int = 64) -> tuple[SeenService, ...]:
    """Named endpoints that no rule allows, most used first."""
    wanted = np.isin(
        judged.reason,
        [1 + REASONS.index("unlisted-endpoint"), 1 + REASONS.index("unlisted-port")],
    )
    wanted &= (judged.verdict == VERDICTS.index("violation")) & (judged.host > 0)
    found: dict[tuple[str, int, str], int] = {}
    for index in np.flatnonzero(wanted).tolist():
        host = judged.hosts[int(judged.host[index])]
        transport = {6: "tcp", 17: "udp"}.get(int(rows["protocol"][index]))
        if host and transport and int(judged.host_source[index]) in (1, 2, 3):
            key = (host, int(rows["dport"][index]), transport)
            found[key] = found.get(key, 0) + 1
    ordered = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    return tuple(SeenService(h, p, t, n) for (h, p, t), n in ordered[:limit])


def draft_site(
    view: SiteView,
    listens: tuple[SeenListen, ...] = (),
    services: tuple[SeenService, ...] = (),
    *,
    seen: str = "",
    interfaces: Mapping[str, str] | None = None,
) -> str:
    """The text of a site file.

    `seen`: the capture that it is based on ("62 s on mir0 and mir1"). `interfaces`: the capture
    interface on which each port of the appliance was seen.
    """
    document = tomlkit.document()
    document.add(tomlkit.comment("Drafted by panotui init" + (f" from {seen}" if seen else "")))
    document.add(tomlkit.comment("Each comment says what was seen. Correct what is wrong."))
    document.add(tomlkit.nl())
    document["site"] = _identity(view)
    ports = _ports(view, interfaces or {})
    if ports:
        document["ports"] = ports
    network = _network(view)
    if len(network):
        document["network"] = network
    cameras = _cameras(view)
    if len(cameras):
        document["camera"] = cameras
    listed = _listens(view, listens)
    if len(listed):
        document["listen"] = listed
    text = tomlkit.dumps(document) + _suggested(services)
    problems = [p for p in check_site(text)[1] if p.error]
    if problems:  # a wire value that is invalid in a site file: report it
        notes = "".join(f"# line {p.line}: {p.field}: {p.text}\n" for p in problems)
        return "# Not everything that was seen fits a site file:\n" + notes + text
    return text


def _note(table: Table, key: str, value: object, comment: str) -> None:
    table[key] = value
    item = table.item(key)
    assert isinstance(item, Item)  # a key that was just set is not a table in several parts
    item.comment(printable(comment, COMMENT_MAX))


def _identity(view: SiteView) -> Table:
    table, facts, given = tomlkit.table(), view.facts, view.site.site
    _note(table, "name", given.name or "site-1", "name it as you like")
    if facts.topology:
        how = "given" if given.topology else "cameras and cloud are on two ports"
        _note(table, "topology", facts.topology, how)
    if facts.region:
        name = view.region_names.get(facts.region)
        how = "given" if given.region else f"from names such as {name}"
        _note(table, "region", facts.region, how)
    if view.vantage and view.vantage != "file":
        _note(table, "vantage", view.vantage, "where Panotui listened")
    return table


def _ports(view: SiteView, interfaces: Mapping[str, str]) -> Table | None:
    facts = view.facts
    names = sorted({*facts.appliance_addresses.values(), *facts.appliance_macs.values()})
    if not names:
        return None
    ports = tomlkit.table(is_super_table=True)
    for name in names:
        ports[name] = _port(view, facts, name, interfaces.get(name))
    return ports


def _port(view: SiteView, facts: SiteFacts, name: str, interface: str | None) -> Table:
    table = tomlkit.table()
    given = view.site.ports.get(name)
    role = facts.seen_roles.get(name)
    if role:
        how = {
            "camera": "reads cameras here",
            "cloud": "speaks to AWS here",
            "both": "reads cameras and speaks to AWS here",
        }[role]
        _note(table, "role", role, "given" if given and given.role else how)
    mac = next((m for m, port in facts.appliance_macs.items() if port == name), None)
    if mac is not None:
        text = mac_text(mac)
        _note(table, "mac", text, "given" if given and given.mac else "the address's own frames")
    address = next((a for a, port in facts.appliance_addresses.items() if port == name), None)
    if address is not None and "." in address:
        prefix = _prefix(facts, address)
        how = "given" if given and given.address else "speaks from this address"
        if prefix is None:
            how += "; the prefix is a guess"
        _note(table, "address", f"{address}/{prefix or 24}", how)
    if given and given.interface:
        _note(table, "interface", given.interface, "given")
    elif interface:
        _note(table, "interface", interface, "seen on this interface")
    return table


def _prefix(facts: SiteFacts, address: str) -> int | None:
    ip = ipaddress.ip_address(address)
    fitting = [n.prefixlen for n in facts.local if n.version == ip.version and ip in n]
    return max(fitting) if fitting else None


def _network(view: SiteView) -> Table:
    table, facts, given = tomlkit.table(), view.facts, view.site.network
    local = [str(n) for n in facts.local]
    if local:
        _note(table, "local", local, "given" if given.local else "by DHCP, or the ports' networks")
    for key, known, mine, how in (
        ("gateways", facts.gateways, given.gateways, "its MAC carries internet addresses, or DHCP"),
        ("dns", facts.resolvers, given.dns, "named by DHCP, or answered queries"),
        ("ntp", facts.time_servers, given.ntp, "named by DHCP, or answered requests"),
    ):
        if known:
            _note(table, key, sorted(known), "given" if mine else how)
    return table


def _cameras(view: SiteView) -> tomlkit.items.AoT:
    listed = tomlkit.aot()
    given = {c.address: c for c in view.site.camera}
    names: set[str] = set()
    for address, label in sorted(view.facts.cameras.items()):
        table = tomlkit.table()
        name = label if label != address else _camera_name(address, names)
        names.add(name)
        known = given.get(address)
        readers = ", ".join(view.readers_of(address)[:3])
        seen = f"RTSP server, read by {readers}" if readers else "sends RTP"
        _note(table, "name", name, "given" if known else "name it as you like")
        _note(table, "address", address, "given" if known and not readers else seen)
        url = known.url if known and known.url else view.camera_urls.get(address)
        if url and url.startswith(("rtsp://", "rtsps://")) and "@" not in url:
            _note(table, "url", url, "given" if known and known.url else "asked for by DESCRIBE")
        fps = known.fps if known and known.fps else view.camera_fps.get(address)
        if fps and 0 < fps <= 1000:
            _note(table, "fps", fps, "given" if known and known.fps else "from its SDP")
        listed.append(table)
    return listed


def _camera_name(address: str, taken: set[str]) -> str:
    tail = address.replace(":", ".").rsplit(".", 1)[-1]
    name, number = f"camera-{tail}", 1
    while name in taken:
        number += 1
        name = f"camera-{tail}-{number}"
    return name


def _listens(view: SiteView, listens: tuple[SeenListen, ...]) -> tomlkit.items.AoT:
    listed = tomlkit.aot()
    for listen in view.site.listen:
        table = tomlkit.table()
        _note(table, "port", listen.port, "given")
        if listen.from_:
            table["from"] = list(listen.from_)
        if listen.transport != "tcp":
            table["transport"] = listen.transport
        listed.append(table)
    for seen in listens:
        table = tomlkit.table()
        _note(table, "port", seen.port, "the appliance answered here; keep it only if you know it")
        sources = [f"{a}/32" if "." in a else f"{a}/128" for a in seen.sources[:16]]
        _note(table, "from", sources, "who connected")
        if seen.transport != "tcp":
            table["transport"] = seen.transport
        listed.append(table)
    return listed


def _suggested(services: tuple[SeenService, ...]) -> str:
    if not services:
        return ""
    lines = ["", "# Spoken to, but allowed by no rule. Uncomment what the application needs:"]
    for service in services:
        times = f"{service.flows} connection{'s' if service.flows > 1 else ''}"
        lines += [
            "#",
            "# [[service]]",
            f'# name = "{printable(service.host, 64)}"  # {times}',
            f'# host = "{printable(service.host, 253)}"',
            f"# port = {service.port}",
        ]
        if service.transport != "tcp":
            lines.append(f'# transport = "{service.transport}"')
    return "\n".join(lines) + "\n"
