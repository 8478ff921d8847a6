"""The site file: TOML in, a checked `Site` out, or an error with file, line and field.

Types and unknown fields are checked against the `Site` records themselves, values by the rules
below. `load_site` raises the first error, `check_site` returns all errors and warnings.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from panotui.errors import SiteError
from panotui.model import Site, mac_value
from panotui.site.hosts import HostPattern
from panotui.site.toml_lines import Path as FieldPath
from panotui.site.toml_lines import line_map, line_of
from panotui.wire.text import printable

SITE_BYTES_MAX = 1 << 20
LISTEN_PORTS = (8000, 9000)  # what an application's manifest may declare (guide)
PANORAMA_REGIONS = (
    "us-east-1",
    "us-west-2",
    "eu-west-1",
    "ca-central-1",
    "ap-southeast-1",
    "ap-southeast-2",
)
_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-[0-9]{1,2}\Z")
_PORT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}\Z")


class SiteProblem(Struct, frozen=True):
    """A problem of a site file; `error` false: only a warning."""

    line: int
    field: str  # "camera[1].address"
    text: str  # the expected and the actual value
    error: bool = True


def default_paths() -> tuple[Path, ...]:
    """The places where a site file is looked for by default."""
    home = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return (Path("site.toml"), Path(home) / "panotui" / "site.toml")


def find_site() -> Path | None:
    """The site file that is used by default, if there is one."""
    return next((path for path in default_paths() if path.is_file()), None)


def load_site(path: Path | None = None) -> Site:
    """The site of `path`, or of the first default place; an empty `Site` if there is none.

    Raises `SiteError` if the file cannot be read or is invalid.
    """
    if path is None:
        path = find_site()
        if path is None:
            return Site()
    return parse_site(read_text(path), str(path))


def parse_site(text: str, name: str = "site.toml") -> Site:
    """The site of a TOML text; `SiteError` names the first error's line and field."""
    site, problems = check_site(text)
    first = next((p for p in problems if p.error), None)
    if first is not None or site is None:
        assert first is not None
        what, _, near = first.text.partition("; did you mean ")
        raise SiteError(
            f"{name}:{first.line}",
            f"{first.field}: {what}" if first.field else what,
            f"Did you mean {near}" if near else "",
        )
    return site


def _read(path: Path, limit: int) -> bytes:
    with path.open("rb") as file:
        return file.read(limit)


def read_text(path: Path, read: Callable[[Path, int], bytes] = _read) -> str:
    """The text of a site file; `SiteError` if it cannot be read. `read(path, limit)` returns its
    first bytes; root reads with the rights of the file's owner.
    """
    try:
        raw = read(path, SITE_BYTES_MAX + 1)
    except OSError as error:
        why = error.strerror or "it cannot be read"
        raise SiteError(str(path), why, "Name another file with --site.") from error
    if len(raw) > SITE_BYTES_MAX:
        raise SiteError(str(path), "it is larger than 1 MiB, so it is not a site file")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise SiteError(f"{path}:{line}", "the text is not UTF-8") from error


def check_site(text: str) -> tuple[Site | None, tuple[SiteProblem, ...]]:
    """All problems of a TOML text in the order of their lines, and the site if none is an error."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return None, (_syntax_problem(error, text),)
    lines = line_map(text)
    found: list[tuple[FieldPath, str, bool]] = []
    found.extend((path, what, True) for path, what in _shape(data, Site, ()))
    wrong = {path for path, _, _ in found}
    for path, what, is_error in _values(data):
        if not any(path[: len(bad)] == bad for bad in wrong):
            found.append((path, what, is_error))
    problems = sorted(
        (SiteProblem(line_of(lines, p), _dotted(p), what, bad) for p, what, bad in found),
        key=lambda x: (x.line, not x.error),
    )
    if any(p.error for p in problems):
        return None, tuple(problems)
    return msgspec.convert(data, Site), tuple(problems)


def _syntax_problem(error: tomllib.TOMLDecodeError, text: str) -> SiteProblem:
    message = str(error)
    match = re.search(r"\(at line (\d+), column (\d+)\)", message)
    if match:
        line = int(match.group(1))
        what = message[: match.start()].strip()
        column = f" (column {match.group(2)})"
    else:
        line, what, column = text.count("\n") + 1, message.split(" (at ")[0], ""
    return SiteProblem(line, "", f"not valid TOML: {printable(what)}{column}")


def _dotted(path: FieldPath) -> str:
    out = ""
    for part in path:
        if isinstance(part, int):
            out += f"[{part + 1}]"  # users count cameras from one
        else:
            out += f".{printable(part, 60)}" if out else printable(part, 60)
    return out


# ------------------------------------------------------------------ shape: names and types


def _shape(data: Any, kind: Any, path: FieldPath) -> Iterator[tuple[FieldPath, str]]:
    """Unknown fields, missing fields and wrong types of `data` against the type `kind`."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        yield from _struct_shape(data, kind, path)
        return
    origin = get_origin(kind)
    if origin is tuple:
        if not isinstance(data, list):
            yield path, f"expected {_wanted(kind)}, got {_got(data)}"
            return
        for index, item in enumerate(data):
            yield from _shape(item, get_args(kind)[0], (*path, index))
    elif origin is dict:
        if not isinstance(data, dict):
            yield path, f"expected a table, got {_got(data)}"
            return
        for key, item in data.items():
            yield from _shape(item, get_args(kind)[1], (*path, key))
    else:
        try:
            msgspec.convert(data, kind, strict=True)
        except msgspec.ValidationError:
            yield path, f"expected {_wanted(kind)}, got {_got(data)}{_nearest_value(data, kind)}"


def _struct_shape(
    data: Any, kind: type[msgspec.Struct], path: FieldPath
) -> Iterator[tuple[FieldPath, str]]:
    if not isinstance(data, dict):
        table = f"[[{_dotted(path[:-1])}]]" if path and isinstance(path[-1], int) else "a table"
        yield path, f"expected {table}, got {_got(data)}"
        return
    hints = get_type_hints(kind)
    fields = {f.encode_name: f for f in msgspec.structs.fields(kind)}
    for key, item in data.items():
        if key not in fields:
            yield (*path, key), f"unknown field{_suggestion(key, list(fields))}"
        else:
            yield from _shape(item, hints[fields[key].name], (*path, key))
    for name, field in fields.items():
        if field.required and name not in data:
            yield path, f"{name} is missing; expected {_wanted(hints[field.name])}"


def _suggestion(key: str, names: list[str]) -> str:
    near = difflib.get_close_matches(key.lower(), names, n=1, cutoff=0.5)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; known here: {', '.join(names)}"


def _nearest_value(data: Any, kind: Any) -> str:
    choices = _choices(kind)
    if not isinstance(data, str) or not choices:
        return ""
    near = difflib.get_close_matches(data.lower(), choices, n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""


def _choices(kind: Any) -> list[str]:
    out: list[str] = []
    for arg in get_args(kind):
        if isinstance(arg, str):
            out.append(arg)
        else:
            out.extend(_choices(arg))
    return out


def _wanted(kind: Any) -> str:
    choices = _choices(kind)
    if choices:
        return "one of " + ", ".join(f'"{c}"' for c in choices)
    if get_origin(kind) is tuple:
        inner = get_args(kind)[0]
        if isinstance(inner, type) and issubclass(inner, msgspec.Struct):
            return "an array of tables ([[...]])"
        return "a list of texts"
    kinds = [k for k in get_args(kind) if k is not type(None)] or [kind]
    words = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}
    return " or ".join(words.get(k, "a table") for k in kinds)


def _got(data: Any) -> str:
    if isinstance(data, bool):
        return "true" if data else "false"
    if isinstance(data, str):
        return f'"{printable(data, 60)}"'
    if isinstance(data, int | float):
        return printable(str(data), 60)
    return "a list" if isinstance(data, list) else "a table" if isinstance(data, dict) else "a date"


# ------------------------------------------------------------------ values

Problems = Iterator[tuple[FieldPath, str, bool]]


def _values(data: dict[str, Any]) -> Problems:
    """Problems of values whose types are right; wrongly typed ones are skipped here."""
    yield from _identity_values(_table(data, "site"))
    yield from _port_values(_table(data, "ports"))
    yield from _network_values(_table(data, "network"))
    yield from _camera_values(_tables(data, "camera"))
    yield from _service_values(_tables(data, "service"))
    yield from _listen_values(_tables(data, "listen"))
    yield from _report_values(_table(data, "report"))


def _table(data: dict[str, Any], key: str) -> dict[str, Any]:
    value = data.get(key)
    return value if isinstance(value, dict) else {}


def _tables(data: dict[str, Any], key: str) -> list[tuple[int, dict[str, Any]]]:
    value = data.get(key)
    if not isinstance(value, list):
        return []
    return [(i, item) for i, item in enumerate(value) if isinstance(item, dict)]


def _text(path: FieldPath, value: Any, check: Callable[[str], str | None]) -> Problems:
    """Run `check` on a text; it returns the problem, or None."""
    if isinstance(value, str):
        wrong = check(value)
        if wrong:
            yield path, wrong, True


def _identity_values(table: dict[str, Any]) -> Problems:
    region = table.get("region")
    if isinstance(region, str):
        path: FieldPath = ("site", "region")
        if not _REGION.match(region):
            near = difflib.get_close_matches(region.lower(), PANORAMA_REGIONS, n=1, cutoff=0.6)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            got = _got(region)
            yield path, f'expected an AWS region such as "us-east-1", got {got}{hint}', True
        elif region not in PANORAMA_REGIONS:
            known = ", ".join(PANORAMA_REGIONS)
            yield path, f"{region} never had AWS Panorama (it had {known})", False


def _port_values(table: dict[str, Any]) -> Problems:
    macs: dict[int, str] = {}
    for name, port in table.items():
        if not _PORT_NAME.match(name):
            yield ("ports", name), "expected a port's name such as eth0", True
        if not isinstance(port, dict):
            continue
        yield from _text(("ports", name, "mac"), port.get("mac"), _mac_problem)
        yield from _text(("ports", name, "address"), port.get("address"), _interface_problem)
        mac = port.get("mac")
        if isinstance(mac, str) and _mac_problem(mac) is None:
            twin = macs.setdefault(mac_value(mac), name)
            if twin != name:
                yield ("ports", name, "mac"), f"the same MAC address as ports.{twin}", True


def _network_values(table: dict[str, Any]) -> Problems:
    checks: dict[str, Callable[[str], str | None]] = {
        "local": _network_problem,
        "gateways": _address_problem,
        "dns": _address_problem,
        "ntp": _time_server_problem,
    }
    for key, check in checks.items():
        values = table.get(key)
        if isinstance(values, list):
            for index, value in enumerate(values):
                yield from _text(("network", key, index), value, check)
    servers = table.get("ntp")
    if isinstance(servers, list) and len(servers) > 5:
        yield ("network", "ntp"), "the appliance takes at most five time servers", False


def _camera_values(cameras: list[tuple[int, dict[str, Any]]]) -> Problems:
    names: dict[str, int] = {}
    for index, camera in cameras:
        base: FieldPath = ("camera", index)
        yield from _text((*base, "address"), camera.get("address"), _address_problem)
        yield from _text((*base, "mac"), camera.get("mac"), _mac_problem)
        yield from _text((*base, "url"), camera.get("url"), _url_problem)
        yield from _name_values((*base, "name"), camera.get("name"), names, index, "camera")
        fps = camera.get("fps")
        if isinstance(fps, int | float) and not isinstance(fps, bool) and not 0 < fps <= 1000:
            yield (*base, "fps"), f"expected frames a second above 0, got {fps}", True
        url, address = camera.get("url"), camera.get("address")
        if isinstance(url, str) and isinstance(address, str) and _url_problem(url) is None:
            host = urlsplit(url).hostname
            if host and host != address.lower() and _address_problem(host) is None:
                yield (*base, "url"), f"names {host}, but the camera's address is {address}", False


def _name_values(
    path: FieldPath, name: Any, names: dict[str, int], index: int, what: str
) -> Problems:
    if not isinstance(name, str):
        return
    if not name.strip() or len(name) > 64 or printable(name) != name:
        yield path, f"expected a name of 1 to 64 printable characters, got {_got(name)}", True
    elif names.setdefault(name, index) != index:
        yield path, f'two {what}s are named "{name}" (the other is {what}[{names[name] + 1}])', True


def _service_values(services: list[tuple[int, dict[str, Any]]]) -> Problems:
    names: dict[str, int] = {}
    for index, service in services:
        base: FieldPath = ("service", index)
        yield from _name_values((*base, "name"), service.get("name"), names, index, "service")
        yield from _text((*base, "host"), service.get("host"), _host_problem)
        yield from _port_number((*base, "port"), service.get("port"))


def _listen_values(listens: list[tuple[int, dict[str, Any]]]) -> Problems:
    for index, listen in listens:
        base: FieldPath = ("listen", index)
        port = listen.get("port")
        low, high = LISTEN_PORTS
        yield from _port_number((*base, "port"), port)
        if isinstance(port, int) and 1 <= port <= 65535 and not low <= port <= high:
            what = f"expected a port of {low}-{high}, which is all that an application may open"
            yield (*base, "port"), f"{what}; got {port}", True
        sources = listen.get("from")
        if isinstance(sources, list):
            for at, value in enumerate(sources):
                yield from _text((*base, "from", at), value, _network_problem)
        if not sources and isinstance(port, int):
            yield base, f"port {port} is declared for everyone; name networks in `from`", False


def _port_number(path: FieldPath, value: Any) -> Problems:
    if isinstance(value, int) and not isinstance(value, bool) and not 1 <= value <= 65535:
        yield path, f"expected a port of 1-65535, got {value}", True


def _mac_problem(text: str) -> str | None:
    parts = text.replace("-", ":").split(":")
    if len(parts) == 6 and all(re.fullmatch(r"[0-9A-Fa-f]{2}", p) for p in parts):
        return None
    return f'expected a MAC address such as "02:00:00:00:00:10", got {_got(text)}'


def _address_problem(text: str) -> str | None:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return f'expected an IP address such as "192.168.5.1", got {_got(text)}'
    return None


def _time_server_problem(text: str) -> str | None:
    if _address_problem(text) is None or _host_problem(text) is None:
        return None
    return f'expected an address or a name such as "pool.ntp.org", got {_got(text)}'


def _interface_problem(text: str) -> str | None:
    expected = 'expected an address with its prefix such as "10.20.0.5/24"'
    try:
        value = ipaddress.ip_interface(text)
    except ValueError:
        return f"{expected}, got {_got(text)}"
    net = value.network
    if net.num_addresses > 2 and value.ip in (net.network_address, net.broadcast_address):
        if isinstance(net, ipaddress.IPv6Network):
            return None
        return f"{expected}; {text} is the network's own or its broadcast address"
    return None


def _network_problem(text: str) -> str | None:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        try:
            near = ipaddress.ip_network(text, strict=False)
        except ValueError:
            return f'expected a network such as "10.20.0.0/24", got {_got(text)}'
        return f'{_got(text)} has host bits set; did you mean "{near}"?'
    return None


def _host_problem(text: str) -> str | None:
    try:
        HostPattern(text.replace("{region}", "us-east-1"))
    except ValueError:
        return f'expected a host name such as "dynamodb.us-east-1.amazonaws.com", got {_got(text)}'
    return None


def _url_problem(text: str) -> str | None:
    expected = 'expected a URL such as "rtsp://10.20.0.11/stream1"'
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return expected if "@" in text else f"{expected}, got {_got(text)}"
    if "@" in parts.netloc:
        # the secret itself must not reach a terminal or a log
        return "credentials do not belong in the site file; put them into a keyring or a variable"
    if parts.scheme not in ("rtsp", "rtsps", "rtspu") or not parts.hostname or port == 0:
        return expected if "@" in text else f"{expected}, got {_got(text)}"
    return None


def _report_values(report: dict[str, Any]) -> Problems:
    yield from _text(("report", "zone"), report.get("zone"), _zone_problem)


def _zone_problem(value: str) -> str | None:
    # 2 to 29 ms of each start, for a report's time zone only
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return 'expected a time zone such as "Europe/Berlin"'
    return None
