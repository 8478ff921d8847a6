"""The roles of the hosts on this site: the site file, completed from traffic, with each guess
marked.

Messages, flow rows and link rows go in, `facts` come out: which MAC and IP addresses are the
appliance's ports, which hosts are cameras, gateways, resolvers and time servers, which networks are
local, and which topology and region this is. The site file is never overruled; missing facts are
inferred and listed in `facts.inferred`. `version` rises when a fact has changed, so that flows are
judged again.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np

from panotui.model import (
    APPS,
    U8,
    U64,
    AnyMessage,
    ArpMessage,
    Bool,
    DhcpMessage,
    DnsMessage,
    HttpMessage,
    IcmpMessage,
    NtpMessage,
    Rows,
    RtspMessage,
    Site,
    SiteRecord,
    TlsClientHello,
    address_text,
    mac_value,
)
from panotui.model.arrays import among, distinct
from panotui.model.flow_rows import AnyRows
from panotui.site.addresses import (
    BROADCAST,
    INTERNET,
    LINK_LOCAL,
    LOOPBACK,
    MULTICAST,
    UNSPECIFIED,
    network,
    scope_of,
)
from panotui.site.facts import Client, MediaSession, Who, inside, is_host, is_internet
from panotui.site.hosts import canonical_host, is_address
from panotui.site.resolving import Learnt, mac_or_none, resolve

_SCOPE_BITS = {
    INTERNET: Who.INTERNET,
    LINK_LOCAL: Who.LINK_LOCAL,
    LOOPBACK: Who.LOOPBACK,
    MULTICAST: Who.MULTICAST,
    BROADCAST: Who.BROADCAST,
    UNSPECIFIED: Who.UNSPECIFIED,
}
ADDRESSES6_MAX = 16  # of one MAC
_NEIGHBOUR_SOLICITATION, _NEIGHBOUR_ADVERTISEMENT = 135, 136
PUBLIC_MAX = 64
HOSTS_MAX = 1024  # addresses, clients and MACs that are remembered for inference
MEDIA_MAX = 4096  # negotiated media ports
FED_MAX = 16  # hosts that get the media of one sender
FED_BYTES = 65_536  # of an RTSP connection: a dialogue has fewer
_APP_RTP, _APP_RTSP = APPS.index("rtp"), APPS.index("rtsp")


class SiteView:
    """See the module. `vantage`: where the capture is taken, if the caller knows."""

    hears: ClassVar[frozenset[type]] = frozenset(
        (
            RtspMessage, DnsMessage, TlsClientHello, HttpMessage, ArpMessage, DhcpMessage,
            NtpMessage, IcmpMessage,
        )
    )  # fmt: skip

    def __init__(self, site: Site, vantage: str | None = None) -> None:
        self.site = site
        self.vantage = site.site.vantage or vantage
        self.nobody = False  # no host here is the appliance, for all that is seen
        self.one_way = False  # no host is seen in both directions
        self.one_way_ports: frozenset[str] = frozenset()  # ports seen in one direction only
        self.cut_short = False  # frames are truncated: names are not read
        self.version = 1
        self._clients: OrderedDict[str, Client] = OrderedDict()
        self._servers: OrderedDict[str, int] = OrderedDict()  # RTSP servers and RTP senders
        self._fed: OrderedDict[str, set[str]] = OrderedDict()  # sender -> hosts that get its media
        self._arp: OrderedDict[str, int] = OrderedDict()  # IP -> MAC, as the host announces
        self._mac_ips: OrderedDict[int, dict[str, None]] = OrderedDict()
        self._mac_ip6s: OrderedDict[int, dict[str, None]] = OrderedDict()
        self._router_macs: set[int] = set()
        self._public: dict[str, set[int]] = {}  # public network -> MACs that use an address of it
        self._inside: dict[str, None] = {}  # those that the site uses internally
        self._dhcp_routers: OrderedDict[str, None] = OrderedDict()
        self._dhcp_dns: OrderedDict[str, None] = OrderedDict()
        self._dhcp_ntp: OrderedDict[str, None] = OrderedDict()
        self._dhcp_nets: OrderedDict[str, None] = OrderedDict()
        self._dns_servers: OrderedDict[str, None] = OrderedDict()
        self._ntp_servers: OrderedDict[str, None] = OrderedDict()
        self._leases: OrderedDict[int, str] = OrderedDict()  # MAC -> address by DHCP ACK
        self.camera_urls: OrderedDict[str, str] = OrderedDict()  # server -> URL asked for
        self.camera_fps: OrderedDict[str, float] = OrderedDict()  # server -> rate of its SDP
        self.region_names: OrderedDict[str, str] = OrderedDict()  # region -> a name that proves it
        self._pending: OrderedDict[tuple[int, int], str] = OrderedDict()  # flow -> SNI
        self._media: OrderedDict[tuple[str, int], MediaSession] = OrderedDict()
        self.media_version = 0
        self._dirty = False
        self._who: dict[str, int] = {}
        self._learnt = Learnt(
            clients=self._clients,
            servers=self._servers.keys(),
            arp=self._arp,
            mac_ips=self._mac_ips,
            mac_ip6s=self._mac_ip6s,
            router_macs=self._router_macs,
            inside=self._inside.keys(),
            leases=self._leases,
            dhcp_routers=self._dhcp_routers.keys(),
            dhcp_dns=self._dhcp_dns.keys(),
            dhcp_ntp=self._dhcp_ntp.keys(),
            dhcp_nets=self._dhcp_nets.keys(),
            dns_servers=self._dns_servers.keys(),
            ntp_servers=self._ntp_servers.keys(),
            fed=self._fed,
        )
        self.facts = resolve(site, self._learnt)

    # -------------------------------------------------------------- observing

    def observe(self, message: AnyMessage, meter: int = 0) -> None:
        """Learn from one message; `settle` then updates the facts."""
        if isinstance(message, RtspMessage):
            self._observe_rtsp(message)
        elif isinstance(message, DnsMessage):
            self._observe_dns(message)
        elif isinstance(message, TlsClientHello):
            if message.sni and message.flow >= 0 and "amazon" in message.sni.lower():
                _put(self._pending, (meter, message.flow), message.sni, HOSTS_MAX)
        elif isinstance(message, HttpMessage):
            asks = message.from_client and message.method == "CONNECT" and message.host
            if asks and message.flow >= 0 and "amazon" in asks.lower():
                _put(self._pending, (meter, message.flow), asks.partition(":")[0], HOSTS_MAX)
        elif isinstance(message, ArpMessage):
            self._observe_arp(message)
        elif isinstance(message, DhcpMessage):
            self._observe_dhcp(message)
        elif isinstance(message, IcmpMessage):
            if message.version == 6 and message.target_mac:
                self._observe_neighbour(message)
        elif isinstance(message, NtpMessage) and message.mode == 4 and message.sport == 123:
            self._note(self._ntp_servers, message.src)

    def observe_all(self, messages: Iterable[AnyMessage], meter: int = 0) -> None:
        """Learn from the messages of one delta."""
        for message in messages:
            self.observe(message, meter)
        self.settle()

    def observe_flows(self, rows: AnyRows, meter: int = 0) -> None:
        """Learn from flow rows: which hosts send hellos or media."""
        if len(rows) == 0:
            return
        if self._pending:
            ids = np.array([f for m, f in self._pending if m == meter], np.uint64)
            for row in rows[among(rows["id"], ids)]:
                name = self._pending.pop((meter, row.id), None)
                if name is not None:
                    client = address_text(row.version, row.src)
                    self._observe_name(client, name)
        media = rows[rows["app"] == _APP_RTP]
        for row in media[:256]:
            ends = row.src, row.dst
            sender, receiver = ends if row.packets_out >= row.packets_in else ends[::-1]
            server = address_text(row.version, sender)
            self._observe_server(server)
            self._observe_fed(server, address_text(row.version, receiver))
        for row in rows[rows["app"] == _APP_RTSP][:256]:
            version = row.version
            server = address_text(version, row.dst)
            self._observe_server(server)
            client = address_text(version, row.src)
            self._observe_reader(client, server)
            if row.payload_in >= FED_BYTES:
                self._observe_fed(server, client)
        self._observe_flows6(rows)
        self._observe_routers(rows)
        self.settle()

    def _observe_routers(self, rows: AnyRows) -> None:
        """The neighbours that forward the internet's packets. A link row has one address of a pair
        of MACs: a gateway that is the resolver as well is seen there with its own.
        """
        for row in rows[self._forwarded(rows, rows["mac_in_src"], rows["dst"])][:64]:
            self._observe_pair(row.mac_in_src, address_text(4, row.dst))
        for row in rows[self._forwarded(rows, rows["mac_out_src"], rows["src"])][:64]:
            self._observe_pair(row.mac_out_src, address_text(4, row.src))

    def _forwarded(self, rows: AnyRows, macs: U64, addresses: U8) -> Bool:
        """Rows (bool, shape (n,)) whose MAC (n,) of unknown role has a public IPv4 address (n, 16),
        as far as its first two bytes say.
        """
        new: Bool = (rows["version"] == 4) & (macs != 0)
        if new.any():
            new &= ~np.isin(macs, np.array(sorted(self._router_macs), np.uint64))
            first, second = addresses[:, 0], addresses[:, 1]
            new &= (first != 10) & ((first != 192) | (second != 168)) & (first < 224)
            new &= (first != 172) | (second & 0xF0 != 16)
        return new

    def _observe_flows6(self, rows: AnyRows) -> None:
        """The IPv6 addresses that the appliance's MACs send from. They come and go, and no site
        file lists them.
        """
        if not self.facts.appliance_macs or not (rows["version"] == 6).any():
            return
        macs = np.array(sorted(self.facts.appliance_macs), np.uint64)
        ours = rows["version"] == 6
        for row in rows[ours & among(rows["mac_out_src"], macs)][:256]:
            self._observe_pair6(row.mac_out_src, address_text(6, row.src))
        for row in rows[ours & among(rows["mac_in_src"], macs)][:256]:
            self._observe_pair6(row.mac_in_src, address_text(6, row.dst))

    def observe_links(self, rows: Rows) -> None:
        """Learn from link rows (LINK_SECOND_DTYPE): which MAC uses which IPv4 address."""
        if len(rows) == 0:
            return
        seen = rows[rows["ip4_src"] != 0][["src_mac", "ip4_src"]]
        for mac, raw in distinct(seen).tolist():
            self._observe_pair(int(mac), str(ipaddress.IPv4Address(int(raw))))
        self.settle()

    def set_sight(
        self, one_way: bool, ports: frozenset[str], cut_short: bool, nobody: bool = False
    ) -> None:
        """Set what is visible from this vantage: one direction only (of all or of some ports),
        truncated frames, no appliance.
        """
        before = self.one_way, self.one_way_ports, self.cut_short, self.nobody
        if (one_way, ports, cut_short, nobody) != before:
            self.one_way, self.one_way_ports, self.cut_short = one_way, ports, cut_short
            self.nobody = nobody
            self.version += 1

    def settle(self) -> bool:
        """Update the facts if anything was learnt; True if they changed."""
        if not self._dirty:
            return False
        self._dirty = False
        facts = resolve(self.site, self._learnt)
        if facts == self.facts:
            return False
        self.facts = facts
        self._who.clear()
        self.version += 1
        return True

    def _note(self, table: OrderedDict[str, None], address: str) -> None:
        if address not in table:
            _put(table, address, None, HOSTS_MAX)
            self._dirty = True

    def _client(self, address: str) -> Client:
        entry = self._clients.get(address)
        if entry is None:
            entry = Client()
            _put(self._clients, address, entry, HOSTS_MAX)
        return entry

    def _observe_server(self, address: str) -> None:
        if address not in self._servers and not is_internet(address, self.facts.local):
            if scope_of(address) in (MULTICAST, BROADCAST):
                return
            _put(self._servers, address, 1, HOSTS_MAX)
            self._dirty = True

    def _observe_fed(self, server: str, receiver: str) -> None:
        known = self._fed.get(server)
        if known is None:
            _put(self._fed, server, known := set(), HOSTS_MAX)
        if receiver not in known and len(known) < FED_MAX and is_host(receiver):
            known.add(receiver)
            self._dirty = True

    def _observe_rtsp(self, message: RtspMessage) -> None:
        self._observe_server(message.server)
        entry = self._observe_reader(message.client, message.server)
        if message.from_client and message.method == "DESCRIBE" and message.url:
            _put(self.camera_urls, message.server, message.url, HOSTS_MAX)
        rate = next((t.framerate for t in message.tracks if t.framerate), None)
        if rate:
            _put(self.camera_fps, message.server, rate, HOSTS_MAX)
        agent = message.user_agent or ""
        if message.from_client and "LIVE555" in agent and not entry.live555:
            entry.live555 = self._dirty = True
        if message.method == "SETUP" and message.transport:
            self._observe_transport(message)

    def _observe_reader(self, client: str, server: str) -> Client:
        entry = self._client(client)
        if server not in entry.cameras and len(entry.cameras) < 64:
            entry.cameras.add(server)
            self._dirty = True
        return entry

    def _observe_transport(self, message: RtspMessage) -> None:
        session = MediaSession(message.client, message.server, message.server_port)
        fields = dict(_transport_fields(message.transport or ""))
        ends = [(message.client, fields.get("client_port")), (message.server, _server_port(fields))]
        destination = canonical_host(fields.get("destination", "")) or message.client
        if "port" in fields:
            ends.append((destination, fields["port"]))
        elif destination != message.client:
            ends.append((destination, fields.get("client_port")))
        source = canonical_host(fields.get("source", ""))
        if source and source != message.server:
            ends.append((source, _server_port(fields)))
        for address, ports in ends:
            for port in _port_pair(ports):
                if self._media.get((address, port)) != session:
                    _put(self._media, (address, port), session, MEDIA_MAX)
                    self.media_version += 1

    def _observe_dns(self, message: DnsMessage) -> None:
        if message.transport not in ("udp", "tcp"):
            return
        if message.response and message.rcode in ("NOERROR", "NXDOMAIN"):
            self._note(self._dns_servers, message.server)
        if "amazon" in message.name:
            self._observe_name(message.client, message.name)

    def _observe_name(self, client: str, name: str) -> None:
        region = region_in(name)
        if region is None:
            return
        entry = self._client(client)
        iot = ".iot." in f".{name}"
        if region not in self.region_names:
            _put(self.region_names, region, name, 64)
        before = entry.regions.most_common(1)
        entry.regions[region] += 100 if iot else 1
        if iot and not entry.iot:
            entry.iot = self._dirty = True
        if entry.regions.most_common(1) != before:
            self._dirty = True

    def _observe_arp(self, message: ArpMessage) -> None:
        try:
            mac = mac_value(message.sender_mac)
        except ValueError:
            return
        if message.sender_ip in ("0.0.0.0", "") or not mac:  # noqa: S104 - an ARP probe
            return
        if self._arp.get(message.sender_ip) != mac:
            _put(self._arp, message.sender_ip, mac, HOSTS_MAX)
            self._dirty = True
            if is_internet(message.sender_ip, self.facts.local):
                self._observe_public(message.sender_ip, mac)
        self._observe_pair(mac, message.sender_ip)

    def _observe_public(self, address: str, mac: int) -> None:
        """A neighbour uses a public address. If two neighbours use the same public network, the
        site uses it internally. A router that answers for everyone counts as one neighbour.
        """
        net = f"{address.rpartition('.')[0]}.0/24"  # ARP is IPv4 only
        macs = self._public.setdefault(net, set())
        if len(self._public) > PUBLIC_MAX:
            del self._public[next(iter(self._public))]
        if len(macs) < 4:
            macs.add(mac)
        if len(macs) >= 2 and net not in self._inside:
            self._inside[net] = None
            inside_now = (*self.facts.local, network(net))
            self._router_macs.intersection_update(
                [
                    m
                    for m in self._router_macs
                    if any(is_internet(a, inside_now) for a in self._mac_ips.get(m, ()))
                ]
            )
            self._dirty = True

    def _observe_pair(self, mac: int, address: str) -> None:
        addresses = self._mac_ips.get(mac)
        if addresses is None:
            addresses = {}
            _put(self._mac_ips, mac, addresses, HOSTS_MAX)
        if address not in addresses and len(addresses) < 8:
            addresses[address] = None
            self._dirty = True
        if mac not in self._router_macs and is_internet(address, self.facts.local):
            if len(self._router_macs) < HOSTS_MAX:
                self._router_macs.add(mac)
            self._dirty = True

    def _observe_neighbour(self, message: IcmpMessage) -> None:
        """Neighbour discovery: a solicitation carries the sender's MAC, an advertisement that of
        the target.
        """
        mac = mac_or_none(message.target_mac)
        if not mac:
            return
        if message.type == _NEIGHBOUR_SOLICITATION:
            self._observe_pair6(mac, message.src)
        elif message.type == _NEIGHBOUR_ADVERTISEMENT and message.target:
            self._observe_pair6(mac, message.target)

    def _observe_pair6(self, mac: int, address: str) -> None:
        addresses = self._mac_ip6s.get(mac)
        if addresses is None:
            addresses = {}
            _put(self._mac_ip6s, mac, addresses, HOSTS_MAX)
        if address in addresses or not is_host(address):
            return
        addresses[address] = None
        while len(addresses) > ADDRESSES6_MAX:  # there are new temporary addresses every day
            del addresses[next(iter(addresses))]
        self._dirty = True

    def _observe_dhcp(self, message: DhcpMessage) -> None:
        if message.type not in ("offer", "ack"):
            return
        for address in message.routers:
            self._note(self._dhcp_routers, address)
        for address in message.dns:
            self._note(self._dhcp_dns, address)
        for address in message.ntp:
            self._note(self._dhcp_ntp, address)
        if message.your_ip and message.mask:
            try:
                net = str(ipaddress.ip_network(f"{message.your_ip}/{message.mask}", strict=False))
            except ValueError:
                return
            self._note(self._dhcp_nets, net)
        if message.type == "ack" and message.your_ip:
            mac = mac_or_none(message.client_mac)
            if mac and self._leases.get(mac) != message.your_ip:
                _put(self._leases, mac, message.your_ip, HOSTS_MAX)
                self._dirty = True

    # -------------------------------------------------------------- asking

    def who(self, address: str) -> int:
        """The roles of an address: bits of `Who`."""
        known = self._who.get(address)
        if known is None:
            if len(self._who) > 65_536:
                self._who.clear()
            known = self._who[address] = self._who_is(address)
        return known

    def _who_is(self, address: str) -> int:
        facts = self.facts
        try:
            scope = scope_of(address)
        except ValueError:
            return 0
        bits = _SCOPE_BITS.get(scope, Who.LOCAL)
        if address in facts.broadcasts:
            return Who.BROADCAST
        if bits in (Who.INTERNET, Who.LINK_LOCAL) and inside(address, facts.local):
            bits = Who.LOCAL
        if address in facts.appliance_addresses:
            bits |= Who.APPLIANCE
            if bits & Who.INTERNET:  # an appliance with a public address still belongs to the site
                bits = Who.APPLIANCE | Who.LOCAL
        if address in facts.cameras:
            bits |= Who.CAMERA
        if address in facts.gateways:
            bits |= Who.GATEWAY
        if address in facts.resolvers:
            bits |= Who.RESOLVER
        if address in facts.time_servers:
            bits |= Who.TIME_SERVER
        return bits

    def media_session(self, a: str, a_port: int, b: str, b_port: int) -> MediaSession | None:
        """The RTSP session that negotiated this UDP flow's ports, in either direction."""
        for near, port, far in ((a, a_port, b), (b, b_port, a)):
            session = self._media.get((near, port))
            if session is not None and (
                far in (session.server, session.client)
                or (far, b_port if far == b else a_port) in self._media
            ):
                return session
        return None

    def media_ports(self) -> frozenset[int]:
        """All ports that RTSP sessions negotiated."""
        return frozenset(port for _, port in self._media)

    def mac_at(self, address: str) -> int | None:
        """The MAC of a host on the segment, as announced by the host; otherwise None."""
        return self._arp.get(address)

    def readers_of(self, camera: str) -> tuple[str, ...]:
        """Hosts that spoke RTSP to a camera."""
        return tuple(a for a, c in self._clients.items() if camera in c.cameras)

    def site_names(self) -> dict[str, str]:
        """Address -> name, for all hosts that the site file names."""
        out = {canonical_host(c.address) or c.address: c.name for c in self.site.camera}
        for service in self.site.service:
            if is_address(service.host):
                out.setdefault(canonical_host(service.host) or service.host, service.name)
        return out

    def site_record(self) -> SiteRecord:
        """The site in the form of a record."""
        identity, facts = self.site.site, self.facts
        guessed = ("vantage",) if self.vantage and not identity.vantage else ()
        return SiteRecord(
            name=identity.name,
            topology=facts.topology,
            region=facts.region,
            vantage=self.vantage,
            mode=identity.mode,
            inferred=facts.inferred + guessed,
            one_way=self.one_way,
        )


def region_in(name: str) -> str | None:
    """The AWS region in a host name of AWS, if any."""
    host = canonical_host(name)
    if host is None or not host.endswith((".amazonaws.com", ".aws.amazon.com")):
        return None
    for label in host.split("."):
        parts = label.split("-")
        if (
            len(parts) >= 3
            and len(parts[0]) == 2
            and parts[-1].isdigit()
            and all(p.isalpha() for p in parts[:-1])
        ):
            return label
    return None


def _put(table: OrderedDict[Any, Any], key: Any, value: Any, limit: int) -> None:
    table[key] = value
    table.move_to_end(key)
    if len(table) > limit:
        table.popitem(last=False)


def _transport_fields(text: str) -> Iterable[tuple[str, str]]:
    for part in text.split(",")[0].split(";")[:32]:
        key, equals, value = part.strip().partition("=")
        if equals:
            yield key.lower(), value.strip().strip('"')


def _server_port(fields: dict[str, str]) -> str | None:
    return fields.get("server_port")


def _port_pair(text: str | None) -> tuple[int, ...]:
    """Ports of "5000-5001" or "5000"; a single port stands for itself and the RTCP port after
    it.
    """
    if not text:
        return ()
    low, dash, high = text.partition("-")
    try:
        first = int(low)
        last = int(high) if dash else first + 1
    except ValueError:
        return ()
    if not 0 < first <= last <= 65535 or last - first > 3:
        return ()
    return tuple(range(first, last + 1))
