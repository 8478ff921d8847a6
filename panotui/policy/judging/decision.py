"""What is asked about a flow, and what was decided of it."""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from panotui.model import Severity, Verdict
from panotui.site.names import HostName

# rules that are no rules of anybody's network, but words for what is left aside
OWN: Final = "own"


BYSTANDER: Final = "bystander"


BETWEEN_PORTS: Final = "between-ports"


class FlowFacts(Struct, frozen=True):
    """All that a verdict depends on."""

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
    foreign_address: bool = False  # the appliance's MAC with an address that is not the site's
    session: FlowFacts | None = None  # the RTSP flow that negotiated this media flow
    hello: bool = False  # its ClientHello was read
    not_tls: bool = False  # its first bytes are something else than TLS
    opened: str = "syn"  # how the client is known: "syn", "port", "first"
    mid_stream: bool = False  # its beginning was not seen
    client_spoke: bool = True
    answered: bool = False
    settled: bool = False  # nothing more will be learnt of it
    own: bool = False
    one_way: bool = False  # the mirror copies one direction only
    cut: bool = False  # frames are cut short: names are not read
    supposed: bool = False  # nobody has sent it: a question, not an observation

    def turned(self) -> FlowFacts:
        """The same flow with client and server changed over."""
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
        """A flow whose supposed client said nothing, as its only sender opened it."""
        return replace(self.turned(), answered=False)


class Decision(Struct, frozen=True):
    """A verdict without words."""

    verdict: Verdict
    rule: str | None = None
    reason: str | None = None
    severity: Severity = "info"
    final: bool = True
    host: HostName | None = None
    alias: bool = False  # the name is one that only the 2021 guide prints
    unasked: bool = False  # judged, and to be told, as `FlowFacts.unasked`
    detail: str = ""  # what the words need to know besides: "region:eu-west-1", "resolver", ...


class Judgement(Struct, frozen=True):
    """A verdict with its words."""

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
