"""DNS (RFC 1035, 6891, 9460) over UDP and TCP, mDNS and LLMNR: one message's bytes in,
`DnsMessage` out.

dnspython reads names, with their compression pointers, and the service parameters of HTTPS records.
The records are walked here, because dnspython's message object costs several times as much and a
site's resolvers are busy. Only the names that are reported are read, each once per message
(pointers to the same place share it).
"""

from __future__ import annotations

import struct
from functools import lru_cache
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from panotui.model import DnsAnswer, DnsMessage
from panotui.wire.addresses import ip_text
from panotui.wire.origin import Malformed, Origin
from panotui.wire.text import printable

if TYPE_CHECKING:
    import dns.name

ANSWERS_TOLD = 64
_RECORDS_READ = 256
_HEADER = struct.Struct("!HHHHHH")
_RECORD = struct.Struct("!HHIH")
_A, _NS, _CNAME, _SOA, _PTR, _MX, _TXT, _AAAA, _SRV, _OPT = 1, 2, 5, 6, 12, 15, 16, 28, 33, 41
_SVCB, _HTTPS = 64, 65
_NAMED = frozenset((_NS, _CNAME, _PTR, 39))
TYPES = {
    1: "A",
    2: "NS",
    5: "CNAME",
    6: "SOA",
    10: "NULL",
    12: "PTR",
    13: "HINFO",
    15: "MX",
    16: "TXT",
    28: "AAAA",
    29: "LOC",
    33: "SRV",
    35: "NAPTR",
    39: "DNAME",
    41: "OPT",
    43: "DS",
    46: "RRSIG",
    47: "NSEC",
    48: "DNSKEY",
    50: "NSEC3",
    64: "SVCB",
    65: "HTTPS",
    250: "TSIG",
    251: "IXFR",
    252: "AXFR",
    255: "ANY",
    257: "CAA",
}
RCODES = (
    "NOERROR",
    "FORMERR",
    "SERVFAIL",
    "NXDOMAIN",
    "NOTIMP",
    "REFUSED",
    "YXDOMAIN",
    "YXRRSET",
    "NXRRSET",
    "NOTAUTH",
    "NOTZONE",
)
_RCODE_BADVERS = 16


class Record(NamedTuple):
    """A resource record by its positions in the message: its name (not read yet) and its data."""

    name_at: int
    type: int
    ttl: int
    start: int
    size: int


class Packet(NamedTuple):
    """A DNS message with the positions of its records; their data is not read yet."""

    wire: bytes
    id: int
    flags: int
    question: str
    question_type: int
    answers: list[Record]
    authority: list[Record]
    additional: list[Record]
    names: Names


class Names:
    """The names of one message, each offset read once."""

    __slots__ = ("_known", "_module", "_wire")

    def __init__(self, wire: bytes) -> None:
        self._wire = wire
        self._known: dict[int, tuple[str, int]] = {}
        self._module = _name_module()

    def at(self, offset: int) -> tuple[str, int]:
        """(name in lower case without trailing dot, bytes used at `offset`)."""
        known = self._known.get(offset)
        if known is not None:
            return known
        wire = self._wire
        if offset >= len(wire):
            raise Malformed("DNS name starts past the message")
        first = wire[offset]
        if first >= 0xC0 and offset + 1 < len(wire):
            target = (first & 0x3F) << 8 | wire[offset + 1]
            if target >= offset:
                raise Malformed("DNS compression pointer points forward")
            found = (self.at(target)[0], 2) if wire[target] < 0xC0 else self._read(offset)
        else:
            found = self._read(offset)
        self._known[offset] = found
        return found

    def _read(self, offset: int) -> tuple[str, int]:
        try:
            name, used = self._module.from_wire(self._wire, offset)
        except Exception as fault:  # noqa: BLE001  dnspython's own errors, and what slips past them
            raise Malformed(f"DNS name: {type(fault).__name__}") from None
        return name_text(name), used


@lru_cache(maxsize=1)
def _name_module() -> Any:
    # Imported with the first DNS packet: it takes a tenth of a second.
    import dns.name

    module: ModuleType = dns.name
    return module


def load() -> None:
    """Import dnspython now, with the record types that it reads."""
    import dns.inet
    import dns.rdata
    from dns.rdataclass import RdataClass
    from dns.rdatatype import RdataType

    _name_module()
    for kind in (RdataType.HTTPS, RdataType.SVCB):
        dns.rdata.get_rdata_class(RdataClass.IN, kind)  # type: ignore[no-untyped-call]


def name_text(name: dns.name.Name) -> str:
    """A dnspython name as text: lower case, no trailing dot, printable."""
    return printable(name.to_text(omit_final_dot=True).lower(), 300)


def split(wire: bytes) -> Packet:
    """Find the question and the records of a message.

    Records that run past the end are left out if the header says that the message was truncated
    (TC); otherwise they are `Malformed`.
    """
    if len(wire) < 12:
        raise Malformed("DNS shorter than its header")
    number, flags, questions, *counts = _HEADER.unpack_from(wire)
    if questions > 64:
        raise Malformed("DNS with too many questions")
    names = Names(wire)
    at = 12
    question, question_type = "", 0
    for index in range(questions):
        name, used = names.at(at)
        at += used + 4
        if at > len(wire):
            raise Malformed("DNS question cut short")
        if index == 0:
            question, question_type = name, int.from_bytes(wire[at - 4 : at - 2], "big")
    sections: list[list[Record]] = [[], [], []]
    left = _RECORDS_READ
    try:
        for section, count in zip(sections, counts, strict=True):
            for _ in range(count):
                if not left:
                    break
                left -= 1
                name_at = at
                at = _after_name(wire, at)
                if at + 10 > len(wire):
                    raise Malformed("DNS record cut short")
                kind, _, ttl, size = _RECORD.unpack_from(wire, at)
                at += 10
                if at + size > len(wire):
                    raise Malformed("DNS record runs past the message")
                section.append(Record(name_at, kind, ttl, at, size))
                at += size
    except Malformed:
        if not flags & 0x0200:
            raise
    answers, authority, additional = sections
    return Packet(
        wire, number, flags, question, question_type, answers, authority, additional, names
    )


def _after_name(wire: bytes, at: int) -> int:
    """End of a name's bytes, without following its pointers."""
    while at < len(wire):
        size = wire[at]
        if size >= 0xC0:
            return at + 2
        if size >= 64:
            raise Malformed("DNS label of an unknown kind")
        at += 1 + size
        if not size:
            return at
    raise Malformed("DNS name runs past the message")


def parse(
    wire: bytes, origin: Origin, src: str, dst: str, sport: int, dport: int, transport: str
) -> DnsMessage:
    """One message; `transport` is "udp", "tcp", "mdns" or "llmnr"."""
    return message_of(split(wire), origin, src, dst, sport, dport, transport)


def message_of(
    packet: Packet, origin: Origin, src: str, dst: str, sport: int, dport: int, transport: str
) -> DnsMessage:
    """The `DnsMessage` of a split packet: answer records in order, at most `ANSWERS_TOLD`.

    An HTTPS or SVCB record gives one answer with its target and parameters, and one more of the
    same type for each of its address hints, whose data is just the address.
    """
    response = bool(packet.flags & 0x8000)
    answers: list[DnsAnswer] = []
    for record in packet.answers:
        if len(answers) >= ANSWERS_TOLD:
            break
        if record.type == _OPT:
            continue
        kind = TYPES.get(record.type, f"TYPE{record.type}")
        name = packet.names.at(record.name_at)[0]
        for data in _data(packet, record):
            answers.append(DnsAnswer(name, kind, record.ttl, data))
    rcode = packet.flags & 15
    for record in packet.additional:
        if record.type == _OPT:
            rcode |= (record.ttl >> 24) << 4  # the extended part, RFC 6891 section 6.1.3
    if response:
        client, server, client_port = dst, src, dport
    else:
        client, server, client_port = src, dst, sport
    return DnsMessage(
        time_ns=origin.time_ns,
        packet=origin.packet,
        interface=origin.interface,
        flow=origin.flow,
        transport=transport,
        client=client,
        server=server,
        client_port=client_port,
        id=packet.id,
        response=response,
        rcode=_rcode(rcode),
        name=packet.question,
        type=TYPES.get(packet.question_type, f"TYPE{packet.question_type}"),
        answers=tuple(answers),
        truncated=bool(packet.flags & 0x0200),
    )


def _rcode(code: int) -> str:
    if code < len(RCODES):
        return RCODES[code]
    return "BADVERS" if code == _RCODE_BADVERS else f"RCODE{code}"


def _data(packet: Packet, record: Record) -> list[str]:
    wire, start, size = packet.wire, record.start, record.size
    kind = record.type
    if kind in (_A, _AAAA):
        if size != (4 if kind == _A else 16):
            raise Malformed("DNS address of a wrong length")
        return [ip_text(wire[start : start + size])]
    if kind in _NAMED:
        return [_name_in(packet, start, record)]
    if kind == _SRV and size >= 7:
        port = int.from_bytes(wire[start + 4 : start + 6], "big")
        return [f"{_name_in(packet, start + 6, record)}:{port}"]
    if kind == _MX and size >= 3:
        return [_name_in(packet, start + 2, record)]
    if kind == _TXT:
        return [printable(" ".join(text.decode("latin-1") for text in strings(wire, record)))]
    if kind in (_HTTPS, _SVCB):
        return _service(packet, record)
    return [printable(wire[start : start + min(size, 32)].hex())]


def _name_in(packet: Packet, offset: int, record: Record) -> str:
    name, used = packet.names.at(offset)
    if offset + used > record.start + record.size:
        raise Malformed("DNS name runs past its record")
    return name


def strings(wire: bytes, record: Record) -> list[bytes]:
    """The character strings of a TXT record; `Malformed` if one runs past the record's end."""
    found: list[bytes] = []
    at, end = record.start, record.start + record.size
    while at < end and len(found) < 64:
        size = wire[at]
        if at + 1 + size > end:
            raise Malformed("DNS text runs past its record")
        found.append(wire[at + 1 : at + 1 + size])
        at += 1 + size
    return found


def _service(packet: Packet, record: Record) -> list[str]:
    """Target and parameters of an SVCB or HTTPS record, then its address hints (RFC 9460)."""
    import dns.rdata
    from dns.rdtypes.svcbbase import ParamKey

    try:
        rdata: Any = dns.rdata.from_wire(
            "IN", TYPES[record.type], packet.wire, record.start, record.size
        )
        parts = [str(rdata.priority), name_text(rdata.target) or "."]
        hints: list[str] = []
        for key, value in sorted(rdata.params.items()):
            if key in (ParamKey.IPV4HINT, ParamKey.IPV6HINT):
                hints.extend(ip_text(_packed(address)) for address in value.addresses[:8])
            elif key == ParamKey.ALPN:
                parts.append("alpn=" + ",".join(i.decode("latin-1") for i in value.ids[:8]))
            elif key == ParamKey.ECH:
                parts.append("ech")
            elif key == ParamKey.PORT:
                parts.append(f"port={value.port}")
    except Exception as fault:  # noqa: BLE001  dnspython's own errors, and what slips past them
        raise Malformed(f"DNS service record: {type(fault).__name__}") from None
    return [printable(" ".join(parts)), *hints]


def _packed(address: str) -> bytes:
    import dns.inet

    family = dns.inet.af_for_address(address)
    return bytes(dns.inet.inet_pton(family, address))


def tcp_messages(stream: bytes) -> tuple[list[bytes], int]:
    """Whole messages of a DNS-over-TCP stream (u16 length before each), and the number of bytes
    used.
    """
    found: list[bytes] = []
    at = 0
    while at + 2 <= len(stream):
        size = int.from_bytes(stream[at : at + 2], "big")
        if at + 2 + size > len(stream):
            break
        found.append(stream[at + 2 : at + 2 + size])
        at += 2 + size
    return found, at
