"""Findings about lookups without a useful answer: the sentences and actions.

Lookups that fail in the same way at one server come in (`Bad`), observations go out; equal failures
of the same names at several servers are one.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct, field

from panotui.diagnosis.facts import Facts, Observation, evidence
from panotui.model import Confidence, Severity
from panotui.model.quantities import counted, listed, some
from panotui.state.lookups import Seen

NAMED = 4  # names in a sentence
NOWHERE = "nowhere"


class Bad(Struct):
    """Lookups that fail in the same way at one server."""

    kind: str
    server: str
    client: str
    names: list[str]
    seen: list[Seen]
    first_ns: int
    last_ns: int
    count: int
    address: str = ""
    many_addresses: bool = False  # not every name, or not every server, leads to that one
    whither: str = ""  # target of a hole
    through: str = ""
    rescued: bool = False  # another server gave the needed address
    everything: bool = False  # the server never answers this client otherwise
    only_six: bool = False  # it gives IPv6 addresses, and the client cannot use them
    also: list[str] = field(default_factory=list)  # servers with the same answer for the same names
    sure: Confidence | None = None


def of_all_servers(found: Iterable[Bad]) -> list[Bad]:
    """Equal answers of several servers for the same names have one cause."""
    alike: dict[tuple[object, ...], Bad] = {}
    for one in found:
        key = (
            one.kind, one.whither, one.through, one.rescued, one.everything, one.only_six,
            one.client, tuple(sorted(one.names)),
        )  # fmt: skip
        first = alike.setdefault(key, one)
        if first is one:
            continue
        first.also.append(one.server)
        first.seen.extend(one.seen)
        first.first_ns = min(first.first_ns, one.first_ns)
        first.last_ns = max(first.last_ns, one.last_ns)
        first.count += one.count
        first.many_addresses |= one.many_addresses or one.address != first.address
    return list(alike.values())


_IDS = {
    "nxdomain": "dns-nxdomain", "servfail": "dns-servfail", "refused": "dns-refused",
    "nodata": "dns-filtered", "sinkhole": "dns-sinkhole", "search": "dns-sinkhole",
}  # fmt: skip


def told(one: Bad, facts: Facts) -> Observation:
    names = sorted(one.names)
    severity: Severity | None = "info" if one.rescued else None
    if one.kind in ("servfail", "refused") and one.count > 1 and not one.rescued:
        severity = "error"  # a needed name has no address
    seen = sorted({(s.time_ns, s.packet, s.text) for s in one.seen})[-8:]
    several = len(names) > 1
    client = facts.port_of(one.client) or one.client
    text = _text(one, names, client)
    answers = counted(one.count, "answer")
    rescue = ("another DNS server answers for it, so it works",) if one.rescued else ()
    return Observation(
        _IDS[one.kind],
        one.server if several else names[0],
        {
            "server": one.server,
            "host": names[0],
            "client": client,
            "address": one.address,
            "port": facts.port_of(one.client) or "",
        },
        tuple(evidence(*s) for s in seen),
        one.first_ns,
        one.last_ns,
        confidence=one.sure,
        severity=severity,
        text=text,
        action=_action(one, names),
        detail=(answers, *rescue, *((f"names: {', '.join(names)}",) if several else ())),
        blocks=tuple(f"endpoint:{name}" for name in names[1:]),
        relies=tuple(f"forged:{name}" for name in names),
        asker=one.client,
        weight=float(len(names)),  # names that work again one by one leave the sentence
        key=f"{one.server} {one.whither}".strip()
        + (" search" if one.kind == "search" else "")
        + (" six" if one.only_six else "")
        + (" rescued" if one.rescued else ""),
    )


_OF_AWS = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws", ".aws.com", ".cloudfront.net")


def _text(one: Bad, names: list[str], client: str) -> str | None:
    """The sentence if the catalogue's does not fit."""
    servers = [one.server, *one.also]
    several = len(servers) > 1
    who = f"DNS server{'s' if several else ''} {listed(servers)}"

    def does(verb: str) -> str:
        return f"{who} {verb if several else verb + 's'}"

    if one.kind == "refused" and one.everything:
        return f"{does('refuse')} to answer {client} at all (REFUSED)"
    if one.kind == "search":
        return (
            f"{does('lead')} {one.through} elsewhere: with the search domain appended"
            f" ({names[0]}) {'they answer' if several else 'it answers'} {one.address}"
        )
    if one.only_six:
        return f"{does('give')} only IPv6 addresses for {names_of(names)}, and {client} has no IPv6"
    if _own_alias(one) and len(names) == 1:
        return f"{does('lead')} {names[0]} to the alias {one.through}, which has no address"
    if one.kind == "nodata" and one.through and len(names) == 1:
        return (
            f"{does('give')} no address for {names[0]}, only the alias {one.through}: the name is"
            " filtered"
        )
    if len(names) == 1 and not several:
        return None
    named, many = names_of(names), len(names) > 1
    what = f"{len(names)} needed names" if many else names[0]
    which = f": {named}" if many else ""
    others = " and others like it" if one.many_addresses else ""
    are = "they are" if many else "the name is"
    return {
        "nxdomain": f"{does('say')} that {what} {'do' if many else 'does'} not exist{which}",
        "servfail": f"{who} {'fail' if several else 'fails'} on {what} (SERVFAIL){which}",
        "refused": f"{does('refuse')} {what} to {client} (REFUSED){which}",
        "nodata": f"{does('give')} no address for {what}{which or ': the name is filtered'}",
        "sinkhole": f"{does('answer')} {one.address}{others} for {what}:"
        f" {are} filtered or intercepted" + (f" ({named})" if many else ""),
    }[one.kind]


def names_of(names: list[str]) -> str:
    return some(names, NAMED, "others")


def _own_alias(one: Bad) -> bool:
    """The name leads to a name that is nobody's but the site's, or a filter's."""
    own = one.kind == "nodata" and bool(one.through)
    through = "." + (one.through or "").rstrip(".").lower()
    return own and not through.endswith(_OF_AWS)


def _action(one: Bad, names: list[str]) -> str | None:
    """The action if the catalogue's does not fit."""
    named, server = names_of(names), listed([one.server, *one.also])
    if one.only_six:
        return (
            f"The owner of {server} should let the IPv4 addresses (A) of {named} through: a filter"
            " holds them back"
        )
    if _own_alias(one) and len(names) == 1:
        return (
            f"The owner of {server} should correct the alias {one.through}, or remove it: it"
            f" hides {names[0]}"
        )
    if one.kind == "refused" and not one.everything:
        return f"The owner of {server} should let it answer for {named}: a filter refuses it"
    if one.kind == "sinkhole" and len(names) >= NAMED and one.whither not in (NOWHERE, "inside"):
        return (
            f"Ask the owner of {server} why every name of AWS leads to {one.address}: a portal, a"
            " suspended line or a filter; the appliance must be let through"
        )
    if one.kind == "sinkhole" and len(names) > 1:
        return (
            f"Put {named} on the DNS filter's allow-list (or set private_link in the site file if"
            " this is PrivateLink)"
        )
    if one.kind in ("nodata", "nxdomain") and len(names) > 1:
        return (
            f"The owner of {server} should let it answer for {named}: a filter, or a zone of its"
            " own, hides them"
        )
    return None
