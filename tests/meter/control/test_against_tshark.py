"""The control lane against tshark over every capture of the collection: same names, same counts.

Where the two differ, `DIFFERENCES` says why ours is right or what tshark did.
"""

from __future__ import annotations

import ipaddress
from collections import Counter

import pytest

from panotui.errors import PanotuiError
from panotui.model import (
    ArpMessage,
    DhcpMessage,
    DnsMessage,
    IcmpMessage,
    NtpMessage,
    TlsClientHello,
    TlsServerHello,
)
from panotui.wire.dhcp import TYPES
from tests.captures import capture, captures, tshark_says
from tests.meter.through_lane import run

pytestmark = pytest.mark.oracle

# (file, fact): why the numbers are not the same.
DIFFERENCES = {
    ("damaged.pcap", "arp"): "operations and lengths that are not ARP's",
    ("damaged.pcap", "dns"): "broken messages: malformed here, half told there",
    ("damaged.pcap", "icmp"): "tshark stops at an IP length below that of the header",
    ("dhcp-options-run-over.pcapng", "dhcp"): "options run past the packet: malformed",
    ("dns-other-port.pcapng", "dns"): "DNS on port 5333, which tshark guesses",
    ("dns-other-port.pcapng", "rcode"): "DNS on port 5333, which tshark guesses",
    ("dns-too-long.pcap", "dns"): "names beyond 255 bytes are malformed",
    ("dns-too-long.pcap", "rcode"): "the messages are malformed",
    ("gtp-tunnel.pcap", "alpn"): "inside a GTP tunnel: the outer header counts",
    ("gtp-tunnel.pcap", "sni"): "inside a GTP tunnel: the outer header counts",
    ("hello-without-end.pcap", "alpn"): "we read what there is of a hello whose end is lost",
    ("hello-without-end.pcap", "sni"): "we read what there is of a hello whose end is lost",
    ("inverse-arp.pcap", "arp"): "inverse ARP over frame relay",
    ("tcpdump__dns-badlabel.pcap", "dns"): "names beyond 255 bytes are malformed",
    ("tcpdump__dns-badlabel.pcap", "rcode"): "the message is malformed",
    ("sv__llmnr_llmnr-tcp-reassembly.pcap", "dns"): "LLMNR over TCP, which tshark 4.0 leaves",
    ("tcpdump__arp-oobr.pcap", "arp"): "operations and lengths that are not ARP's",
    ("tcpdump__arp-too-long-tha.pcap", "arp"): "hardware addresses of 104 bytes",
    ("zeek__ipv4_fragmented-1.pcap", "stratum"): "fragments that only together make a datagram",
    ("tcpdump__dhcp-rfc4388.pcap", "icmp"): "tshark counts echoes that errors quote",
    ("zeek__arp-leak.pcap", "arp"): "lengths that are not ARP's; Zeek calls them bad too",
    ("zeek__erspanII.pcap", "icmp"): "inside a tunnel: the outer header counts",
    ("zeek__ipv4_fragmented-1.pcap", "ntp"): "fragments that only together make a datagram",
    ("zeek__linux_dlt_sll2.pcap", "arp"): "operation 3 is RARP's",
    ("zeek__radiotap.pcap", "dns"): "802.11 is not decoded",
    ("zeek__radiotap.pcap", "rcode"): "802.11 is not decoded",
    ("v-corrupt-caplen.pcap", "icmp"): "tshark stops at the broken record, we go on after it",
    ("zeek__dns-edns-ecs.pcap", "dns"): "the collection's list of names is cut at a limit",
}


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("capture_name", captures())
def test_control_messages_are_those_that_tshark_sees(capture_name):
    facts, name = tshark_says(capture_name), capture_name.split("/")[1]
    try:
        result = run(capture(capture_name))
    except PanotuiError:
        assert not facts["packets"] or facts.get("tshark_error")
        return
    ours: dict[str, object] = {}
    theirs: dict[str, object] = {}
    ours["arp"] = Counter(str(m.op) for m in result.of(ArpMessage))
    theirs["arp"] = Counter(facts.get("arp.opcode", {}))
    number = {text: str(code) for code, text in TYPES.items()}
    ours["dhcp"] = Counter(
        number.get(m.type, m.type.removeprefix("type-"))
        for m in result.of(DhcpMessage)
        if m.type != "bootp"
    )
    theirs["dhcp"] = Counter(facts.get("dhcp.option.dhcp", {}))
    ours["ntp"] = Counter(str(m.mode) for m in result.of(NtpMessage))
    theirs["ntp"] = Counter(facts.get("ntp.flags.mode", {}))
    ours["stratum"] = {str(m.stratum) for m in result.of(NtpMessage) if m.mode < 6}
    theirs["stratum"] = set(facts.get("ntp.stratum", {})) if theirs["ntp"] else set()
    ours["icmp"] = Counter(str(m.type) for m in result.of(IcmpMessage) if m.version == 4)
    theirs["icmp"] = Counter(facts.get("icmp.type", {}))
    hellos = result.of(TlsClientHello)
    ours["sni"] = Counter(m.sni for m in hellos if m.sni)
    theirs["sni"] = Counter(
        {
            host: count
            for host, count in facts.get("tls.handshake.extensions_server_name", {}).items()
            if not _is_address(host)  # an address is no name (RFC 6066, section 3)
        }
    )
    # tshark also reads the server's choice inside QUIC, which is one of those offered
    ours["alpn"] = {text for m in hellos for text in m.alpn}
    ours["alpn"] |= {m.alpn for m in result.of(TlsServerHello) if m.alpn}
    theirs["alpn"] = set(facts.get("tls.handshake.extensions_alpn_str", {}))
    if any(m.carrier == "quic" for m in hellos):
        # its lists leave out names that it could not show; ours has at least those
        ours["alpn"] = theirs["alpn"] & ours["alpn"] | (theirs["alpn"] & {"h3", "hq-interop"})
    names = {m.name for m in result.of(DnsMessage)}
    names |= {a.name for m in result.of(DnsMessage) for a in m.answers}
    asked = {text.lower() for text in facts.get("dns.qry.name", {})} - {"<root>"}
    many = any(m.transport == "mdns" for m in result.of(DnsMessage))  # several questions a packet
    ours["dns"] = asked & names if many else asked - names
    theirs["dns"] = ours["dns"] if many else set()
    ours["rcode"] = {m.rcode for m in result.of(DnsMessage) if m.response}
    codes = facts.get("dns.flags.rcode", {})
    known = ("NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED")
    theirs["rcode"] = {known[int(code)] for code in codes if int(code) < len(known)}
    if not codes:
        theirs["rcode"] = ours["rcode"]
    differs = {what for what in ours if ours[what] != theirs[what]}
    differs -= {what for file, what in DIFFERENCES if file == name}
    assert not differs, {what: (ours[what], theirs[what]) for what in differs}
    assert result.lane.skipped == 0


def test_every_excuse_is_about_a_file_of_the_collection():
    files = {name.split("/")[1] for name in captures()}
    assert {file for file, _ in DIFFERENCES} <= files
