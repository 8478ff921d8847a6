"""The inputs of a verdict, and the decision."""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from panotui.model import Severity, Verdict
from panotui.site.names import HostName

# pseudo rules for flows that are left out of judgement
OWN: Final = "own"


BYSTANDER: Final = "bystander"


BETWEEN_PORTS: Final = "between-ports"


class FlowFacts(Struct, frozen=True):
    """All inputs of a verdict."""

    client: str
    server: str
    transport: str  # "tcp", "udp", "icmp", "icmp6", "igmp", "vrrp", or the protocol's number
    sport: int = 0  # ICMP: type
    dport: int = 0  # ICMP: code
    client_who: int = 0  # bits of Who
    server_who: int = 0
    app: str | None = None
    names: tuple[HostName, ...] = ()  # of the server, strongest first
    port: str | None = None  # the appliance's port that carries it
    foreign_address: bool = False  # the appliance's MAC with an address that is not declared for it
    session: FlowFacts | None = None  # the RTSP flow that negotiated this media flow
    hello: bool = False  # its ClientHello was read
    not_tls: bool = False  # its first bytes are not TLS
    tunnel: int = 0  # the far port, if the server is a proxy that connects on (`names.TUNNEL`)
    opened: str = "syn"  # how the client was determined: "syn", "port", "first"
    mid_stream: bool = False  # its beginning was not seen
    begun_before: bool = False  # UDP between unknown ports, perhaps older than the capture
    client_spoke: bool = True
    answered: bool = False
    refused: bool = False  # the answer was a reset
    settled: bool = False  # nothing more will be learnt about it
    own: bool = False
    one_way: bool = False  # the mirror copies one direction only
    cut: bool = False  # frames are truncated: names are not read
    nobody: bool = False  # no host here is the appliance, for all that is seen
    portless: bool = False  # TCP or UDP whose ports were in no captured packet
    supposed: bool = False  # a hypothetical flow: a question, not an observation

    def turned(self) -> FlowFacts:
        """The same flow with client and server exchanged."""
        return replace(
            self,
            client=self.server,
            server=self.client,
            sport=self.dport,
            dport=self.sport,
            client_who=self.server_who,
            server_who=self.client_who,
            names=tuple(n for n in self.names if n.source not in ("dns", "site", "mdns", "range")),
            opened="syn",
            client_spoke=True,
        )

    def unasked(self) -> FlowFacts:
        """A flow whose supposed client sent nothing, turned so that its only sender is the
        client.
        """
        return replace(self.turned(), answered=False)


class Decision(Struct, frozen=True):
    """A verdict without wording."""

    verdict: Verdict
    rule: str | None = None
    reason: str | None = None
    severity: Severity = "info"
    final: bool = True
    host: HostName | None = None
    alias: bool = False  # the name is one that only the 2021 guide prints
    unasked: bool = False  # judged and reported as `FlowFacts.unasked`
    detail: str = ""  # further inputs of the wording: "region:eu-west-1", "resolver", ...


class Judgement(Struct, frozen=True):
    """A verdict with its wording."""

    verdict: Verdict
    rule: str | None
    reason: str | None
    severity: Severity
    final: bool
    host: str | None
    host_source: str | None
    nearest: tuple[str, ...] = ()  # "cloudwatch: port 8444 is not 443"
    text: str = ""
    alias: bool = False
    ech: bool = False
    suggestion: str | None = None
