"""Accepts a violation into the site file: record and file in, a changed file and an undo out.

Comments and order of the file are kept. The new text is checked before it replaces the old one
atomically, so that a crash never leaves half a file. Some violations are always wrong (a stream
that leaves the site, an unencrypted endpoint); accepting them is refused with the reason.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
import tempfile
from pathlib import Path
from typing import Any

import tomlkit
from msgspec import Struct

from panotui.errors import UsageError
from panotui.model import ViolationRecord
from panotui.policy.rules import policy_file
from panotui.site.file import LISTEN_PORTS, check_site, parse_site, read_text
from panotui.site.hosts import canonical_host
from panotui.wire.text import printable

_REFUSED = {
    "stream-leak": "a camera's stream or traffic must not reach the internet",
    "wrong-port": "the cables or the routes are wrong, not the policy",
    "cleartext": "this endpoint must speak TLS",
}


class Accepted(Struct, frozen=True):
    """An accepted violation; `undo` reverts it."""

    path: Path
    before: str | None  # text of the file before; None: there was no file
    after: str
    what: str  # "added [[service]] example.net port 443"


def accept(path: Path, violation: ViolationRecord) -> Accepted:
    """Change the site file so that the violation is allowed from now on.

    Raises `UsageError` if it cannot be accepted, `SiteError` if the file is invalid.
    """
    if violation.reason in _REFUSED:
        raise _refusal(violation, _REFUSED[violation.reason])
    before = read_text(path) if path.exists() else None
    if before is not None:
        parse_site(before, str(path))
    document = tomlkit.parse(before or "")
    what = _change(document, violation)
    after = tomlkit.dumps(document)
    problems = [p for p in check_site(after)[1] if p.error]
    if problems:
        raise _refusal(violation, f"the site file would be wrong: {problems[0].text}")
    _write(path, after)
    return Accepted(path, before, after, what)


def undo(accepted: Accepted) -> None:
    """Restore the file; `UsageError` if it has been changed since."""
    try:
        now = read_text(accepted.path)
    except Exception as error:
        raise UsageError("undo", f"{accepted.path} can no longer be read") from error
    if now != accepted.after:
        raise UsageError(
            "undo",
            f"{accepted.path} has been changed since",
            f"Remove by hand: {accepted.what}.",
        )
    if accepted.before is None:
        accepted.path.unlink()
    else:
        _write(accepted.path, accepted.before)


def _refusal(violation: ViolationRecord, why: str) -> UsageError:
    return UsageError(f"accept {violation.reason}", why, violation.suggestion or "")


def _change(document: tomlkit.TOMLDocument, v: ViolationRecord) -> str:
    if v.reason == "inbound":
        return _add_listen(document, v)
    if v.reason == "address-changed":
        return _new_address(document, v)
    if v.reason == "name-mismatch":
        _table(document, "site")["private_link"] = True
        return "set site.private_link = true"
    if v.transport in ("tcp", "udp") and v.dport == 53:
        return _add_to(document, "dns", v.dst)
    if v.transport == "udp" and v.dport == 123:
        return _add_to(document, "ntp", v.dst)
    if v.reason == "lateral" and v.transport == "tcp" and v.dport in policy_file()[0].rtsp_ports:
        return _add_camera(document, v)
    return _add_service(document, v)


def _table(document: Any, key: str) -> Any:
    if key not in document:
        document[key] = tomlkit.table()
    return document[key]


def _array_of_tables(document: Any, key: str) -> Any:
    if key not in document:
        document[key] = tomlkit.aot()
    return document[key]


def _add_to(document: Any, key: str, address: str) -> str:
    network = _table(document, "network")
    if key not in network:
        network[key] = tomlkit.array()
    if address not in network[key]:
        network[key].append(address)
    return f"added {address} to network.{key}"


def _add_camera(document: Any, v: ViolationRecord) -> str:
    cameras = _array_of_tables(document, "camera")
    name = _free_name(f"camera-{v.dst.rsplit('.', 1)[-1]}", cameras)
    table = tomlkit.table()
    table["name"] = name
    table["address"] = v.dst
    if v.dport != 554:
        table["url"] = f"rtsp://{v.dst}:{v.dport}/"
    cameras.append(table)
    return f"added [[camera]] {name} at {v.dst}"


def _add_service(document: Any, v: ViolationRecord) -> str:
    if v.transport not in ("tcp", "udp") or not v.dport or (v.flows > 1 and "and so on" in v.text):
        raise _refusal(v, f"{v.transport} of this kind cannot be written as a service")
    services = _array_of_tables(document, "service")
    named = v.host is not None and "." in v.host and canonical_host(v.host) is not None
    host = v.host if named and v.host else v.dst  # the name of a camera or range is not a host name
    name = _free_name(re.sub(r"[^A-Za-z0-9]+", "-", host).strip("-")[:48] or "service", services)
    table = tomlkit.table()
    table["name"] = name
    table["host"] = host
    table["port"] = v.dport
    table["direction"] = "out"
    if v.transport != "tcp":
        table["transport"] = v.transport
    services.append(table)
    return f"added [[service]] {host} port {v.dport}"


def _add_listen(document: Any, v: ViolationRecord) -> str:
    low, high = LISTEN_PORTS
    port = v.dport
    if port is None or v.transport not in ("tcp", "udp") or not low <= port <= high:
        raise _refusal(v, f"only ports {low}-{high} can be declared, and this is {port}")
    if "and so on" in v.text:
        raise _refusal(v, "a scan of many ports is not a service")
    source = str(ipaddress.ip_network(v.src))
    for listen in document.get("listen", ()):
        if listen.get("port") == port and listen.get("transport", "tcp") == v.transport:
            sources = listen.setdefault("from", tomlkit.array())
            if source not in sources:
                sources.append(source)
            return f"let {source} reach the declared port {port}"
    table = tomlkit.table()
    table["port"] = port
    table["from"] = [source]
    if v.transport != "tcp":
        table["transport"] = v.transport
    _array_of_tables(document, "listen").append(table)
    return f"added [[listen]] port {port} from {source}"


def _new_address(document: Any, v: ViolationRecord) -> str:
    ports = document.get("ports", {})
    if v.port not in ports or "address" not in ports[v.port]:
        raise _refusal(v, "the site file names no address for this port")
    old = ports[v.port]["address"]
    address = f"{v.src}/{old.partition('/')[2] or 24}"
    ports[v.port]["address"] = address
    return f"changed ports.{v.port}.address from {old} to {address}"


def _free_name(wanted: str, tables: Any) -> str:
    taken = {str(t.get("name", "")) for t in tables}
    name, number = printable(wanted, 60), 1
    while name in taken:
        number += 1
        name = f"{wanted}-{number}"
    return name


def _write(path: Path, text: str) -> None:
    """Replace the file atomically, with its mode and, if allowed, its owner."""
    target = path.resolve()  # a link stays a link
    try:
        status = target.stat() if target.exists() else None
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    except OSError as error:
        raise UsageError(f"write {path}", error.strerror or "it cannot be written") from error
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, status.st_mode & 0o7777 if status else 0o644)
        if status is not None:
            with contextlib.suppress(OSError):
                os.chown(temporary, status.st_uid, status.st_gid)
        os.replace(temporary, target)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise UsageError(f"write {path}", error.strerror or "it cannot be written") from error
