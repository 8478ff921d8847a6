"""QUIC version 1 and 2 Initial packets (RFC 9000, 9001, 9369): UDP payloads of a client in, the
ClientHello out.

The keys are derived from the connection id of the client's first Initial, so they are not secret.
`InitialKeys` decrypts packets, `Hello` collects CRYPTO frames in any order over several packets,
bounded. `cryptography` is imported with the first Initial.
"""

from __future__ import annotations

import hmac
from typing import Any, NamedTuple

from panotui.model import TlsClientHello
from panotui.wire import tls
from panotui.wire.origin import Malformed, Origin

V1, V2 = 0x00000001, 0x6B3343CF
DRAFT_29, DRAFT_34 = 0xFF00001D, 0xFF000022  # the widely deployed versions
VERSIONS = (V1, V2, DRAFT_29, DRAFT_34)
PORTS = (443, 853, 4433, 4443, 8443)
_SALTS = {
    DRAFT_29: bytes.fromhex("afbfec289993d24c9e9786f19c6111e04390a899"),
    DRAFT_34: bytes.fromhex("38762cf7f55934b34d179ae6a4c80cadccbb7f0a"),
    V1: bytes.fromhex("38762cf7f55934b34d179ae6a4c80cadccbb7f0a"),
    V2: bytes.fromhex("0dede3def700a6db819381be6e269dcbf9bd2ed9"),
}
INITIAL_BYTES = 1200  # a client pads its datagrams with Initials to this size
_PACKETS_READ = 8
_FRAMES_READ = 256
_CHUNKS = 128


class Initial(NamedTuple):
    """The clear part of an Initial packet within a datagram, by offsets."""

    version: int
    dcid: bytes
    token: bytes
    start: int
    number_at: int  # offset of the (protected) packet number
    end: int


def initials(datagram: bytes) -> list[Initial]:
    """The Initial packets coalesced in a datagram; empty if it starts with anything else."""
    found: list[Initial] = []
    at = 0
    while at + 7 <= len(datagram) and len(found) < 4:
        first = datagram[at]
        version = int.from_bytes(datagram[at + 1 : at + 5], "big")
        if first & 0xC0 != 0xC0 or version not in _SALTS:
            break
        size = datagram[at + 5]
        dcid = datagram[at + 6 : at + 6 + size]
        place = at + 6 + size
        if size > 20 or place >= len(datagram):
            raise Malformed("QUIC connection id")
        source = datagram[place]
        place += 1 + source
        if source > 20 or place >= len(datagram):
            raise Malformed("QUIC connection id")
        if first >> 4 & 3 != (version == V2):
            break  # 0-RTT, Handshake and Retry: nothing useful follows them
        length, place = _varint(datagram, place)
        token = datagram[place : place + length]
        place += length
        if place >= len(datagram):
            raise Malformed("QUIC token runs past the datagram")
        length, place = _varint(datagram, place)
        end = place + length
        if end > len(datagram) or length < 20:
            raise Malformed("QUIC packet runs past the datagram")
        found.append(Initial(version, dcid, token, at, place, end))
        at = end
    return found


class InitialKeys:
    """Client Initial keys, by version and destination connection id."""

    __slots__ = ("_aead", "_header", "dcid", "hp", "iv", "key", "version")

    def __init__(self, version: int, dcid: bytes) -> None:
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self.version, self.dcid = version, dcid
        label = b"quicv2" if version == V2 else b"quic"
        initial = hmac.digest(_SALTS[version], dcid, "sha256")
        client = _expand(initial, b"client in", 32)
        self.key = _expand(client, label + b" key", 16)
        self.iv = _expand(client, label + b" iv", 12)
        self.hp = _expand(client, label + b" hp", 16)
        self._aead = AESGCM(self.key)
        # One block at a time for the mask (RFC 9001 5.4.3), so no block mode is needed.
        self._header: Any = Cipher(algorithms.AES(self.hp), modes.ECB()).encryptor()  # noqa: S305

    def open(self, datagram: bytes, packet: Initial) -> bytes | None:
        """The frames of a packet; None if these are not its keys."""
        from cryptography.exceptions import InvalidTag

        sample = datagram[packet.number_at + 4 : packet.number_at + 20]
        if len(sample) < 16:
            return None
        mask: bytes = self._header.update(sample)
        first = datagram[packet.start] ^ (mask[0] & 0x0F)
        size = (first & 3) + 1
        number = bytes(datagram[packet.number_at + i] ^ mask[1 + i] for i in range(size))
        head = bytes((first,)) + datagram[packet.start + 1 : packet.number_at] + number
        nonce = (int.from_bytes(self.iv, "big") ^ int.from_bytes(number, "big")).to_bytes(12, "big")
        try:
            return self._aead.decrypt(nonce, datagram[packet.number_at + size : packet.end], head)
        except InvalidTag:
            return None


def load() -> None:
    """Import the ciphers now."""
    from cryptography.exceptions import InvalidTag  # noqa: F401

    InitialKeys(V1, b"")


class Hello:
    """A connection's ClientHello under construction; `done` when reported or given up."""

    __slots__ = ("_chunks", "_keys", "_packets", "_size", "done")

    def __init__(self) -> None:
        self._keys: InitialKeys | None = None
        self._chunks: dict[int, bytes] = {}
        self._packets = 0
        self._size = 0
        self.done = False

    @property
    def held(self) -> int:
        """Bytes kept in memory."""
        return self._size

    def feed(self, datagram: bytes, origin: Origin) -> TlsClientHello | None:
        """Add a client's datagram; returns the hello when it is complete. `Malformed` for broken
        Initials.
        """
        for packet in initials(datagram):
            self._packets += 1
            if self._packets > _PACKETS_READ:
                self.done = True
                return None
            frames = self._open(datagram, packet)
            if frames is None:
                continue
            self._gather(frames)
            hello = self._whole(origin)
            if hello is not None:
                self.done = True
                return hello
        return None

    def _open(self, datagram: bytes, packet: Initial) -> bytes | None:
        keys = self._keys
        if keys is not None and keys.version == packet.version:
            frames = keys.open(datagram, packet)
            if frames is not None or keys.dcid == packet.dcid:
                return frames
        # the first packet, or the first after a Retry (which changes the connection id for the
        # keys)
        keys = InitialKeys(packet.version, packet.dcid)
        frames = keys.open(datagram, packet)
        if frames is not None:
            self._keys = keys
        return frames

    def _gather(self, frames: bytes) -> None:
        at = 0
        for _ in range(_FRAMES_READ):
            while at < len(frames) and frames[at] == 0:  # PADDING
                at = _after_padding(frames, at)
            if at >= len(frames):
                return
            kind = frames[at]
            at += 1
            if kind == 1:  # PING
                continue
            if kind in (2, 3):
                at = _after_ack(frames, at, kind == 3)
            elif kind == 6:
                offset, at = _varint(frames, at)
                size, at = _varint(frames, at)
                if at + size > len(frames) or offset + size > tls.HELLO_LIMIT + 4:
                    raise Malformed("QUIC CRYPTO frame beyond its packet or all limits")
                if len(self._chunks) < _CHUNKS and len(self._chunks.get(offset, b"")) < size:
                    self._size += size - len(self._chunks.get(offset, b""))
                    self._chunks[offset] = frames[at : at + size]
                at += size
            else:
                return  # CONNECTION_CLOSE, or a frame not allowed in an Initial

    def _whole(self, origin: Origin) -> TlsClientHello | None:
        stream = bytearray()
        for offset in sorted(self._chunks):
            if offset > len(stream):
                return None
            stream += self._chunks[offset][len(stream) - offset :]
        if len(stream) < 4:
            return None
        size = int.from_bytes(stream[1:4], "big")
        if stream[0] != 1 or size > tls.HELLO_LIMIT:
            raise Malformed("QUIC CRYPTO stream is no ClientHello")
        if len(stream) < 4 + size:
            return None
        hello = tls.client_hello(bytes(stream[4 : 4 + size]))
        return tls.hello_message(hello, size + 4, "quic", origin)


def _expand(secret: bytes, label: bytes, size: int) -> bytes:
    """HKDF-Expand-Label (RFC 8446 7.1) with SHA-256 and an empty context."""
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

    full = b"tls13 " + label
    info = size.to_bytes(2, "big") + bytes((len(full),)) + full + b"\0"
    return HKDFExpand(SHA256(), size, info).derive(secret)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    if at >= len(data):
        raise Malformed("QUIC number cut short")
    size = 1 << (data[at] >> 6)
    if at + size > len(data):
        raise Malformed("QUIC number cut short")
    value = int.from_bytes(data[at : at + size], "big") & ((1 << (8 * size - 2)) - 1)
    return value, at + size


def _after_padding(frames: bytes, at: int) -> int:
    rest = frames[at:].lstrip(b"\0")
    return len(frames) - len(rest)


def _after_ack(frames: bytes, at: int, with_ecn: bool) -> int:
    _, at = _varint(frames, at)  # largest
    _, at = _varint(frames, at)  # delay
    count, at = _varint(frames, at)
    _, at = _varint(frames, at)  # first range
    if count > 256:
        raise Malformed("QUIC ACK with too many ranges")
    for _ in range(2 * count + (3 if with_ecn else 0)):
        _, at = _varint(frames, at)
    return at
