"""Whether this vantage could have seen what a finding misses: one place for all findings.

`findings.toml` says what a finding needs to see, `state.visibility` what is seen of whom. A finding
that rests on answers or on absence is withheld where they would not have been seen, and told with
less confidence where that is not certain. No rule asks on its own.
"""

from __future__ import annotations

from collections.abc import Iterable

from panotui.diagnosis.catalogue import FindingSpec
from panotui.diagnosis.facts import Facts, Observation
from panotui.diagnosis.thresholds import thresholds
from panotui.model import mac_value
from panotui.state.visibility import BOTH, NOTHING, SPREAD
from panotui.state.visibility import LIMITS as VISIBILITY_LIMITS

WITHHELD, DOUBTFUL, CERTAIN = range(3)
LIMITS = thresholds().sight
# what is told of the appliance's own doings
_OF_APPLIANCE = ("dns-", "ntp-", "clock-off", "beacon", "exfil", "lateral", "slow-uplink")
_RESTS_ON_ALL = {"answers", "presence", "unbroken"}


def sight(seen: Observation, spec: FindingSpec, facts: Facts) -> int:
    """WITHHELD, DOUBTFUL or CERTAIN."""
    if (spec.cloud or seen.id.startswith(_OF_APPLIANCE)) and nobody_ours(facts):
        return WITHHELD
    if not spec.needs:
        return CERTAIN
    grade = CERTAIN
    visibility = facts.visibility
    if facts.blindness.unsettled(facts.now_ns) and _RESTS_ON_ALL & set(spec.needs):
        return WITHHELD
    if "answers" in spec.needs or "presence" in spec.needs:
        if visibility.missed_share > VISIBILITY_LIMITS.missed_share:
            return WITHHELD
        if facts.capture_lossy:
            grade = DOUBTFUL
    if "contents" in spec.needs and visibility.snapped:
        return WITHHELD
    if "answers" in spec.needs or "unicast" in spec.needs:
        grade = min(grade, _of_host(seen, facts, answers="answers" in spec.needs))
    return grade


def nobody_ours(facts: Facts) -> bool:
    """Nothing in sight is the appliance, or asks for anything that an appliance needs."""
    if facts.view.facts.appliance_known or facts.endpoints.endpoints:
        return False
    if facts.final and facts.now_ns - facts.started_ns < LIMITS.appliance_ns:
        return False  # a capture so short may well have missed what tells it
    return not any(facts.policy.match_host(asked.name) for asked in facts.lookups.lookups.values())


def _of_host(seen: Observation, facts: Facts, *, answers: bool) -> int:
    """Whether unicast of the host that misses an answer passes here."""
    visibility = facts.visibility
    if seen.id.startswith("dhcp-") and visibility.leases_seen:
        return CERTAIN  # DHCP answers by broadcast where it is asked to
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
        # a question by broadcast alone shows no mirror yet; DHCP begins with nothing else
        if facts.visibility.only_spread() and not seen.id.startswith("dhcp-"):
            return WITHHELD
        if seen.retried is False:
            return WITHHELD
        return DOUBTFUL  # a person has put us where the appliance's ports are seen
    if visibility.one_way(macs):
        return WITHHELD
    return DOUBTFUL if answers else CERTAIN


def _plain_only(facts: Facts) -> bool:
    """All that we see is what a plain switch port shows."""
    plain = facts.plain
    return bool(plain) and len(plain) == len(facts.visibility.interfaces)


def _macs(seen: Observation, facts: Facts) -> set[int]:
    """The MACs of the host that asked: as the rule says, else the client or the port."""
    values = seen.values
    for who in (seen.asker, values.get("client"), values.get("port")):
        if who:
            found = set(macs_of(who, facts))
            if found:
                return found
    return set()


def macs_of(who: str, facts: Facts) -> Iterable[int]:
    """The MACs behind a port's name, a MAC or an address."""
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
