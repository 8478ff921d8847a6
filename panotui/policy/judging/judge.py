"""Verdicts: the known facts of a flow in; allowed or not, and why, out.

`FlowFacts` holds exactly the inputs of a verdict. A verdict is therefore a pure function of it, can
be cached, and can be computed without traffic. The reasons are tried in the order of the table in
the JSON's description; the first match is reported.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from functools import cached_property
from typing import Final

from msgspec.structs import replace

from panotui.model import Severity, Verdict
from panotui.policy.judging.decision import (
    BETWEEN_PORTS,
    BYSTANDER,
    OWN,
    Decision,
    FlowFacts,
)
from panotui.policy.rules import HostMatch, Policy, Rule, in_ports, listen_networks
from panotui.site.facts import GROUP, PEER_BITS, SiteFacts, Who
from panotui.site.hosts import canonical_host
from panotui.site.names import TUNNEL, HostName

MEDIA_APPS: Final = frozenset({"rtp", "rtcp", "srtp"})
RTSP_APPS: Final = frozenset({"rtsp", "rtsp-http", "rtsps"})
# protocols whose messages say themselves that they are answers, from the server's port
ANSWERING: Final = frozenset({"dns", "ntp"})
TLS_APPS: Final = frozenset({"tls", "dtls", "quic"})
LOCAL_SIDE: Final = Who.LOCAL | Who.LINK_LOCAL | Who.LOOPBACK | Who.UNSPECIFIED
KNOWN_LOCAL: Final = Who.CAMERA | Who.GATEWAY | Who.RESOLVER | Who.TIME_SERVER
JUDGEMENTS_KEPT = 8_192


class Judge:
    """Judges flows by a policy and the facts of a site at one time.

    A new judge is made when either changes (`SiteView.version`). It caches verdicts, so it must not
    be used longer.
    """

    def __init__(self, policy: Policy, facts: SiteFacts) -> None:
        self.policy = policy
        self.facts = facts
        self.private_link = policy.site.site.private_link
        self._kept: OrderedDict[FlowFacts, Decision] = OrderedDict()
        self._infrastructure = tuple(
            (rule, _bits(rule.from_), _bits(rule.to))
            for rule in policy.rules
            if rule.kind == "infrastructure"
        )
        self._listens = tuple(r for r in policy.rules if r.kind == "listen")
        self._dual = facts.topology == "dual"
        # names could still show that a flow to these ports is not what it appears to be
        self.named_ports = frozenset(
            port
            for rule in policy.named
            for text in rule.ports
            if "-" not in text and text != "*"
            for port in (int(text),)
        )

    def decide(self, facts: FlowFacts) -> Decision:
        """The verdict of a flow without wording; pure, cached."""
        known = self._kept.get(facts)
        if known is None:
            known = self._decide(self._assumed(facts))
            self._kept[facts] = known
            if len(self._kept) > JUDGEMENTS_KEPT:
                self._kept.popitem(last=False)
        return known

    @cached_property
    def settle_ns(self) -> int:
        return int(self.policy.settings.settle_s * 1e9)

    @cached_property
    def unanswered_ns(self) -> int:
        return int(self.policy.settings.unanswered_s * 1e9)

    # -------------------------------------------------------------- the client of a flow

    def _assumed(self, f: FlowFacts) -> FlowFacts:
        """While the appliance is unknown, a local host that connects to the internet or to a camera
        counts as the appliance; once it is clear that none is here, no host does: what a laptop may
        do is not this policy's.
        """
        if f.nobody or self.facts.appliance_known or (f.client_who | f.server_who) & Who.APPLIANCE:
            return f
        outside = f.server_who & Who.INTERNET or f.server_who & Who.CAMERA or f.app in RTSP_APPS
        if f.client_who & Who.LOCAL and not f.client_who & KNOWN_LOCAL and outside:
            return replace(f, client_who=f.client_who | Who.APPLIANCE)
        called = f.server_who & Who.LOCAL and not f.server_who & KNOWN_LOCAL
        if called and f.client_who & (Who.INTERNET | Who.CAMERA):
            return replace(f, server_who=f.server_who | Who.APPLIANCE)
        return f

    def _decide(self, f: FlowFacts) -> Decision:
        if f.own:
            return Decision("infrastructure", OWN)
        leak = self._stream_leak(f)
        if leak is not None:
            return leak
        ours, theirs = f.client_who & Who.APPLIANCE, f.server_who & Who.APPLIANCE
        if ours and theirs:
            return Decision("infrastructure", BETWEEN_PORTS)
        if f.portless and (ours or theirs):
            return Decision("pending", final=False, host=self._best_name(f), detail="no-ports")
        unsolicited = ours and not f.client_spoke and not f.one_way and f.transport == "udp"
        if unsolicited and f.app not in ANSWERING:
            # a server-like source port does not make it an answer
            rule = self._infrastructure_rule(f)
            if rule is None or rule.service != "dhcp":
                return replace(self._inbound_side(f.unasked()), unasked=True)
        if theirs:
            return self._inbound_side(f)
        if ours:
            return self._outbound_side(f)
        rule = self._infrastructure_rule(f) or self._media_rule(f)
        if rule is not None:
            return Decision(_verdict_of(rule), rule.id, host=self._best_name(f))
        return Decision("infrastructure", BYSTANDER, host=self._best_name(f))

    # -------------------------------------------------------------- stream-leak

    def looks_like_stream(self, f: FlowFacts) -> bool:
        """RTSP, RTP or RTCP, by signalling, content or port."""
        if f.session is not None or f.app in MEDIA_APPS or f.app in RTSP_APPS:
            return True
        if f.transport not in ("tcp", "udp"):
            return False
        settings = self.policy.settings
        if f.dport in settings.rtsp_certain:
            return True
        return f.transport == "tcp" and f.app is None and f.dport in settings.leak_ports

    def _stream_leak(self, f: FlowFacts) -> Decision | None:
        if not (f.client_who | f.server_who) & Who.INTERNET:
            return None
        if f.transport == "icmp" and f.sport in (3, 4, 5, 11, 12):
            return None
        if f.transport == "icmp6" and f.sport in (1, 2, 3, 4):
            return None
        camera = (f.client_who | f.server_who) & Who.CAMERA
        if not camera and not self.looks_like_stream(f):
            return None
        inside = f.client if f.client_who & Who.CAMERA else f.server
        # a camera that queries the time or its maker sends no picture by that
        severity: Severity = "error"
        pushes = f.transport == "tcp" and f.dport in self.policy.settings.push_ports
        if f.client_who & Who.CAMERA and not (pushes or self.looks_like_stream(f)):
            severity = "info" if f.transport == "udp" and f.dport == 123 else "warning"
        detail = f"camera:{inside}" if camera else "stream"
        return Decision(
            "violation",
            reason="stream-leak",
            severity=severity,
            host=self._best_name(f),
            detail=detail,
        )

    # -------------------------------------------------------------- towards the appliance

    def _inbound_side(self, f: FlowFacts) -> Decision:
        rule = self._infrastructure_rule(f)
        if rule is not None:
            return self._allowed(f, rule, "infrastructure")
        media = self._media(f)
        if media is not None:
            return media
        for rule in self._listens:
            if rule.carries(f.transport, f.dport) and _from_allowed(rule, f.client):
                return self._allowed(f, rule, "allowed")
        for rule in self.policy.rules:
            if rule.kind == "service" and rule.direction == "in" and self._service_in(rule, f):
                return self._allowed(f, rule, "allowed")
        both = f.transport == "udp" and f.sport == f.dport and not f.answered
        if both and f.one_way:
            # both ports equal: the client is unknown; an answer whose query was not captured
            return self._outbound_side(f.turned())
        if both and f.app == "ntp" and not f.client_who & Who.INTERNET:
            # a neighbour's time: mostly the answer to a question that went to its other address
            return Decision("infrastructure", BYSTANDER)
        if f.opened != "syn" and f.mid_stream:
            # its beginning was not seen, so an inbound connection is not proved
            return self._outbound_side(replace(f.turned(), mid_stream=True))
        if f.begun_before and f.client_who & Who.INTERNET:
            # nor here: behind a router, most such packets answer what the site has sent before
            return replace(self._outbound_side(f.unasked()), unasked=True)
        possible_media = f.transport == "udp" and f.app is None and f.client_who & LOCAL_SIDE
        perhaps_camera = f.client_who & Who.CAMERA or not self.facts.cameras_given
        if possible_media and perhaps_camera and not f.settled:
            return Decision("pending", final=False)
        internet = bool(f.client_who & Who.INTERNET)
        severity: Severity = "error" if internet or f.answered else "warning"
        if f.transport not in ("tcp", "udp"):
            severity = "warning"
        return Decision(
            "violation",
            reason="inbound",
            severity=severity,
            host=None,  # what an outsider calls us is no name of ours
            detail="internet" if internet else "local",
        )

    def _service_in(self, rule: Rule, f: FlowFacts) -> bool:
        if not rule.carries(f.transport, f.dport):
            return False
        names = {f.client, *(n.name for n in f.names)}
        return any(m.rule is rule for n in names for m in self.policy.match_host(n))

    # -------------------------------------------------------------- from the appliance

    def _outbound_side(self, f: FlowFacts) -> Decision:
        rule = self._infrastructure_rule(f)
        if rule is not None:
            return self._allowed(f, rule, "infrastructure")
        media = self._media(f)
        if media is not None:
            return media
        camera = self._camera_rtsp(f)
        if camera is not None:
            return self._allowed(f, camera, "allowed")
        if self._is_dns(f):
            detail = "encrypted-dns" if f.dport in self._dns_elsewhere else "resolver"
            return self._violation(f, "unlisted-endpoint", "info", detail=detail)
        return self._by_name(f)

    @cached_property
    def _dns_elsewhere(self) -> tuple[int, ...]:
        return self.policy.settings.dns_elsewhere

    def _is_dns(self, f: FlowFacts) -> bool:
        if f.transport not in ("tcp", "udp") or f.server_who & GROUP:
            return False
        if f.dport in self._dns_elsewhere:
            return True
        plain = f.dport == 53 and f.app in (None, "dns", "other")
        return (plain or f.app == "dns") and not f.server_who & Who.RESOLVER

    def _by_name(self, f: FlowFacts) -> Decision:
        """Rules that know hosts by name. Through a proxy it is the far end that counts, whatever
        the proxy's own address.
        """
        if f.tunnel:
            f = replace(f, server_who=Who.INTERNET, dport=f.tunnel)
        judged: tuple[HostName, tuple[HostMatch, ...]] | None = None
        group = _believed(f.names)
        if self.policy.names_addresses and f.server_who & (Who.INTERNET | LOCAL_SIDE):
            by_address = self._outgoing(self.policy.match_host(f.server))
            if by_address and not any(n.source in ("sni", "http") for n in group):
                judged = HostName(f.server, "site"), by_address
        for name in group if judged is None else ():
            matches = self._outgoing(self.policy.match_host(name.name))
            better = judged is None or (name.source == "dns" and not judged[1])
            worse = name.source == "http" and judged is not None and not matches
            if better or worse:
                judged = name, matches
        sure = self._sure(f)
        if judged is None or not judged[1]:
            return self._unknown_host(f, judged[0] if judged else None, sure)
        name, matches = judged
        if not sure:
            return Decision("pending", final=False, host=name)
        return self._known_host(f, name, matches)

    @staticmethod
    def _outgoing(matches: tuple[HostMatch, ...]) -> tuple[HostMatch, ...]:
        return tuple(m for m in matches if m.rule.direction != "in")

    def _known_host(self, f: FlowFacts, name: HostName, matches: tuple[HostMatch, ...]) -> Decision:
        anywhere = f.tunnel == TUNNEL
        carried = [m for m in matches if anywhere or m.rule.carries(f.transport, f.dport)]
        best = carried[0] if carried else matches[0]
        rule = best.rule
        if carried and self._wrong_port(f, rule):
            return self._violation(f, "wrong-port", "warning", rule, name)
        cannot = f.server_who & LOCAL_SIDE and not f.server_who & Who.INTERNET
        if cannot and not self.private_link and rule.kind == "cloud":
            return self._violation(f, "name-mismatch", "error", rule, name)
        if cannot and not self.private_link and rule.scope == "internet":
            return self._violation(f, "name-mismatch", "error", rule, name)
        if not carried:
            return self._violation(f, "unlisted-port", "warning", rule, name)
        if rule.tls and self._cleartext(f):
            return self._violation(f, "cleartext", "error", rule, name)
        if f.foreign_address:
            return self._violation(f, "address-changed", "warning", rule, name)
        return Decision(_verdict_of(rule), rule.id, host=name, alias=best.alias, final=True)

    def _unknown_host(self, f: FlowFacts, name: HostName | None, sure: bool) -> Decision:
        if f.server_who & GROUP:
            return self._violation(f, "unlisted-endpoint", "info", detail="group")
        if f.server_who & KNOWN_LOCAL:
            return self._violation(f, "unlisted-port", "warning", name=name)
        if not sure and self._may_turn_out_well(f):
            return Decision("pending", final=False, host=name)
        if f.foreign_address:
            return self._violation(f, "address-changed", "warning", name=name)
        if f.app == "ntp" and f.dport == 123:
            # time from a server that the site does not list is unusual, but not lateral movement
            return self._unlisted_endpoint(f, name)
        if f.server_who & (Who.LOCAL | Who.LINK_LOCAL):
            remote = in_ports(self._remote_ports, f.dport) and f.transport == "tcp"
            return self._violation(f, "lateral", "error" if remote else "warning", name=name)
        return self._unlisted_endpoint(f, name)

    def _unlisted_endpoint(self, f: FlowFacts, name: HostName | None) -> Decision:
        if name is not None:
            moved = self.policy.other_region(name.name)
            if moved is not None:
                detail = f"region:{moved[1]}:{moved[0].id}"
                return self._violation(f, "unlisted-endpoint", "warning", name=name, detail=detail)
        unread = f.mid_stream or f.cut or (f.one_way and not f.hello)
        if name is None and unread and f.dport in self.named_ports:
            # its name was sent before the capture began, was truncated, or passed in a direction
            # that is not copied: unknown is not forbidden
            detail = "cut-short" if f.cut else "before-start" if f.mid_stream else "one-way"
            return Decision("pending", final=False, host=self._best_name(f), detail=detail)
        low = f.transport == "udp" and f.dport == 123
        return self._violation(f, "unlisted-endpoint", "info" if low else "warning", name=name)

    @cached_property
    def _remote_ports(self) -> tuple[str, ...]:
        return tuple(map(str, self.policy.settings.remote_access_ports))

    def _may_turn_out_well(self, f: FlowFacts) -> bool:
        """True if a name or content could still match the flow to a rule."""
        if f.server_who & Who.INTERNET or f.dport in self.named_ports:
            return True
        return not self.facts.cameras_given

    def _sure(self, f: FlowFacts) -> bool:
        """True if no better evidence about the flow will come."""
        if f.settled or f.hello or f.not_tls:
            return True
        if f.transport not in ("tcp", "udp"):
            return True
        return f.app is not None and f.app not in TLS_APPS

    def _cleartext(self, f: FlowFacts) -> bool:
        if f.hello:
            return False
        if f.not_tls:
            return True
        # bytes from the middle of a stream prove nothing unless they belong to a text protocol
        if f.app in (None, "other"):
            return False
        return f.app not in TLS_APPS

    # -------------------------------------------------------------- cameras and media

    def _media(self, f: FlowFacts) -> Decision | None:
        """The verdict of a media flow: that of its session, or by its peers if no session was
        seen.
        """
        if f.session is not None:
            session = self.decide(f.session)
            if session.verdict == "pending":
                return Decision("pending", final=False)
            if session.verdict == "violation":
                return replace(session, detail=session.detail or "session")
            rule = self.policy.rule("rtp") if session.rule == "rtsp" else None
            rule = rule or self.policy.rule(session.rule)
            return self._allowed(f, rule, "allowed") if rule else None
        rule = self._media_rule(f)
        return None if rule is None else self._allowed(f, rule, "allowed")

    def _media_rule(self, f: FlowFacts) -> Rule | None:
        """The rule for media without signalling: a camera and its reader, both on the site."""
        if f.transport != "udp" or f.app not in MEDIA_APPS:
            return None
        ends = f.client_who | f.server_who
        if ends & Who.INTERNET or not ends & Who.CAMERA:
            return None
        return self.policy.rule("rtp-multicast" if f.server_who & GROUP else "rtp")

    def _camera_rtsp(self, f: FlowFacts) -> Rule | None:
        rule = self.policy.rule("rtsp")
        if rule is None or f.transport != "tcp":
            return None
        ports = self.policy.camera_rtsp.get(f.server, ())
        # the content of TLS is known only by the port
        sealed = f.app == "tls" and f.dport in (*self.policy.settings.rtsps_ports, *ports)
        if f.app not in (None, "other", *rule.apps) and not sealed:
            return None
        usual = f.dport in self.policy.settings.rtsp_ports or f.app in RTSP_APPS
        if not f.server_who & Who.CAMERA:
            # without a list of cameras, every host that is asked for a stream counts as a camera
            unlisted = f.server_who & LOCAL_SIDE and not self.facts.cameras_given
            return rule if unlisted and usual else None
        if ports:
            return rule if f.dport in ports else None
        return rule if usual else None

    # -------------------------------------------------------------- infrastructure

    def _infrastructure_rule(self, f: FlowFacts) -> Rule | None:
        kind = f.sport if f.transport in ("icmp", "icmp6") else f.dport
        for rule, from_bits, to_bits in self._infrastructure:
            peers_fit = f.client_who & from_bits and f.server_who & to_bits
            if not peers_fit and not self._stands_in(rule, f):
                continue
            if not rule.carries(f.transport, kind):
                continue
            if rule.from_ports and not in_ports(rule.from_ports, f.sport):
                continue
            if rule.apps and f.app not in (None, "other") and f.app not in rule.apps:
                continue
            if rule.hosts and not self._infrastructure_host(rule, f):
                continue
            return rule
        return None

    def _stands_in(self, rule: Rule, f: FlowFacts) -> bool:
        """Roles that are not assigned yet: any resolver matches, and any local time server."""
        if rule.id == "dns":
            return not self.facts.resolvers and not f.server_who & GROUP
        if rule.id == "ntp":
            return not self.facts.time_servers_given and bool(f.server_who & Who.LOCAL)
        return False

    def _infrastructure_host(self, rule: Rule, f: FlowFacts) -> bool:
        names = [n for n in f.names if n.source in ("sni", "http", "dns")]
        if not names:
            return rule.nameless
        return any(m.rule is rule for n in names for m in self.policy.match_host(n.name))

    # -------------------------------------------------------------- answers

    def _wrong_port(self, f: FlowFacts, rule: Rule) -> bool:
        if not self._dual or rule.role == "any" or f.port is None:
            return False
        if rule.kind == "service" and not f.server_who & Who.INTERNET:
            return False
        role = self.facts.roles.get(f.port)
        return role in ("camera", "cloud") and role != rule.role

    def _allowed(self, f: FlowFacts, rule: Rule, verdict: Verdict) -> Decision:
        """A rule allows the flow; the port or address may still be wrong."""
        name = self._best_name(f)
        if self._wrong_port(f, rule):
            return self._violation(f, "wrong-port", "warning", rule, name)
        if f.foreign_address and rule.service not in ("dhcp", "nd", "igmp"):
            return self._violation(f, "address-changed", "warning", rule, name)
        own = verdict if verdict == "allowed" else _verdict_of(rule)
        return Decision(own, rule.id, host=name)

    def _violation(
        self,
        f: FlowFacts,
        reason: str,
        severity: Severity,
        rule: Rule | None = None,
        name: HostName | None = None,
        detail: str = "",
    ) -> Decision:
        return Decision(
            "violation",
            rule=rule.id if rule else None,
            reason=reason,
            severity=severity,
            host=name or self._best_name(f),
            detail=detail,
        )

    @staticmethod
    def _best_name(f: FlowFacts) -> HostName | None:
        return f.names[0] if f.names else None


def _verdict_of(rule: Rule) -> Verdict:
    """The verdict that a rule gives its flows: time queries are allowed by the guide's own rule."""
    if rule.kind == "infrastructure" and rule.id not in ("ntp", "ntp-public"):
        return "infrastructure"
    return "allowed"


def _bits(peers: tuple[str, ...]) -> int:
    bits = 0
    for peer in peers:
        bits |= PEER_BITS[peer]
    return bits


def _believed(names: tuple[HostName, ...]) -> tuple[HostName, ...]:
    """The names of the strongest source that may decide; never site names or ranges."""
    for source in ("sni", "http", "dns", "mdns"):
        found = tuple(n for n in names if n.source == source)
        if found:
            return found
    return ()


def _from_allowed(rule: Rule, client: str) -> bool:
    networks = listen_networks(rule)
    if not networks:
        return True
    host = canonical_host(client)
    if host is None:
        return False
    ip = ipaddress.ip_address(host)
    return any(ip.version == n.version and ip in n for n in networks)
