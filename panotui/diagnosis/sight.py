"""Whether the missing packets of a finding could have been seen from this vantage, for all
findings.

`findings.toml` says what a finding needs, `state.visibility` what is seen of each host. A finding
that rests on answers or on absence is withheld if they would not have been seen, and weakened if
that is uncertain. Rules do not check this themselves.
"""

from __future__ import annotations

from collections.abc import Iterable

from panotui.diagnosis.catalogue import FindingSpec
from panotui.diagnosis.facts import Facts, Observation
from panotui.diagnosis.thresholds import thresholds
from panotui.model import mac_value
from panotui.state.mirror_share import LIMITS as LOSS_LIMITS
from panotui.state.mirror_share import is_chance
from panotui.state.visibility import BOTH, NOTHING, SENT, SPREAD, TOWARDS
from panotui.state.visibility import LIMITS as VISIBILITY_LIMITS

WITHHELD, DOUBTFUL, CERTAIN = range(3)
LIMITS = thresholds().sight
# findings about the appliance's own behaviour
_OF_APPLIANCE = ("dns-", "ntp-", "clock-off", "beacon", "exfil", "lateral", "slow-uplink")
# findings about what was tried again and again, and never answered
_UNANSWERED = (
    "dhcp-", "dns-timeout", "gateway-silent", "neighbour-silent", "ntp-silent", "internet-down",
    "tcp-blocked", "camera-unreachable", "new-connections-fail", "wrong-gateway", "port-silent",
)  # fmt: skip
_RESTS_ON_ALL = {"answers", "presence", "unbroken"}


def sight(seen: Observation, spec: FindingSpec, facts: Facts) -> int:
    """WITHHELD, DOUBTFUL or CERTAIN."""
    if (spec.cloud or seen.id.startswith(_OF_APPLIANCE)) and nobody_ours(facts):
        return WITHHELD
    if not spec.needs:
        return CERTAIN
    if out_of_sight_ns(seen, spec, facts) is not None:
        return WITHHELD
    grade = CERTAIN
    visibility = facts.visibility
    if facts.blindness.unsettled(facts.now_ns) and _RESTS_ON_ALL & set(spec.needs):
        return WITHHELD
    if "answers" in spec.needs or "presence" in spec.needs:
        if visibility.missed_share > VISIBILITY_LIMITS.missed_share:
            return WITHHELD
        if facts.capture_lossy:
            grade = DOUBTFUL
    if "contents" in spec.needs and visibility.unread and not seen.unheard:
        return WITHHELD
    if "segments" in spec.needs and visibility.bare:
        return WITHHELD
    if "answers" in spec.needs or "unicast" in spec.needs:
        grade = min(grade, _of_host(seen, facts, answers="answers" in spec.needs))
    return grade


def out_of_sight_ns(seen: Observation, spec: FindingSpec, facts: Facts) -> int | None:
    """Since when the vantage does not show what a finding rests on: a mirror has turned into
    something else, or loses too much. What has seemed to be missing since then was out of sight.
    None if it does.
    """
    turned = _turned_ns(seen, spec, facts)
    if turned is None and _lost_by_mirror(seen, spec, facts):
        return facts.visibility.mirror.began_ns
    return turned


def _turned_ns(seen: Observation, spec: FindingSpec, facts: Facts) -> int | None:
    visibility = facts.visibility
    if {"answers", "presence", "unicast"} & set(spec.needs):
        return visibility.turned_ns(_macs(seen, facts))
    if "unbroken" not in spec.needs:
        return None
    # pictures: what a camera sends, and what comes to the port that reads it
    camera = frozenset(macs_of(seen.camera, facts)) if seen.camera else frozenset()
    if camera:
        return visibility.turned_ns(camera, (SENT,))
    ports = _macs(seen, facts)
    return visibility.turned_ns(ports, (TOWARDS,)) if ports else None


def _lost_by_mirror(seen: Observation, spec: FindingSpec, facts: Facts) -> bool:
    """The mirror loses so much that what seems to be missing may only not have been copied."""
    share = facts.visibility.mirror.share(facts.now_ns)
    if share < LOSS_LIMITS.least_share:
        return False
    if "answers" in spec.needs or "presence" in spec.needs:
        # what never gets an answer is still known by how often that was tried
        return not seen.id.startswith(_UNANSWERED) or is_chance(share, len(seen.evidence))
    if "unbroken" not in spec.needs:
        return False
    if seen.missing:
        return seen.missing <= LIMITS.mirror_ratio * share
    return facts.now_ns - seen.first_ns < LIMITS.mirror_ns


def nobody_ours(facts: Facts) -> bool:
    """Nothing visible is the appliance, or requests anything that an appliance needs."""
    if facts.view.facts.appliance_known or facts.endpoints.endpoints:
        return False
    if facts.final and facts.now_ns - facts.started_ns < LIMITS.appliance_ns:
        return False  # such a short capture may have missed the evidence
    return not any(facts.policy.match_host(asked.name) for asked in facts.lookups.lookups.values())


def _of_host(seen: Observation, facts: Facts, *, answers: bool) -> int:
    """Whether unicast of the host that misses an answer passes here."""
    visibility = facts.visibility
    if seen.retried is False:
        return WITHHELD  # its answer went past this vantage
    if seen.id.startswith("dhcp-") and visibility.leases_seen:
        return CERTAIN  # DHCP answers by broadcast on request
    macs = _macs(seen, facts)
    if facts.one_way and (not macs or visibility.status(macs) != BOTH):
        return WITHHELD
    if not visibility.hosts:
        return CERTAIN  # a capture without Ethernet addresses
    if not macs:
        return CERTAIN if not _plain_only(facts) else WITHHELD
    status = visibility.status(macs)
    if status == BOTH:
        return CERTAIN
    if status in (SPREAD, NOTHING):
        ours = bool(macs & set(facts.view.facts.appliance_macs))
        if _plain_only(facts) or not ours:
            return WITHHELD
        # a broadcast request alone does not show a mirror; DHCP begins with nothing else
        if facts.visibility.only_spread() and not seen.id.startswith("dhcp-"):
            return WITHHELD
        return DOUBTFUL  # a user has placed us where the appliance's ports are seen
    if visibility.one_way(macs):
        return WITHHELD
    return DOUBTFUL if answers else CERTAIN


def _plain_only(facts: Facts) -> bool:
    """We see only what a plain switch port shows."""
    plain = facts.plain
    return bool(plain) and len(plain) == len(facts.visibility.interfaces)


def _macs(seen: Observation, facts: Facts) -> set[int]:
    """The MACs of the client: given by the rule, else the client's or the port's."""
    values = seen.values
    for who in (seen.asker, values.get("client"), values.get("port")):
        if who:
            found = set(macs_of(who, facts))
            if found:
                return found
    return set()


def macs_of(who: str, facts: Facts) -> Iterable[int]:
    """The MACs of a port's name, a MAC or an address."""
    site = facts.view.facts
    who = who.removeprefix("port ")
    name = site.appliance_addresses.get(who, who)
    ours = [mac for mac, port in site.appliance_macs.items() if port == name]
    if ours:
        return ours
    if who.count(":") == 5:
        try:
            return (mac_value(who),)
        except ValueError:
            return ()
    found = facts.view.mac_at(who)
    return () if found is None else (found,)
