"""The openings of TLS and QUIC, byte by byte from their RFCs (5246, 8446, 9000, 9001, 9369)."""

from __future__ import annotations

import random
import struct

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

V1, V2, DRAFT_29, DRAFT_34 = 1, 0x6B3343CF, 0xFF00001D, 0xFF000022
SALTS = {
    V1: "38762cf7f55934b34d179ae6a4c80cadccbb7f0a",
    DRAFT_34: "38762cf7f55934b34d179ae6a4c80cadccbb7f0a",
    DRAFT_29: "afbfec289993d24c9e9786f19c6111e04390a899",
    V2: "0dede3def700a6db819381be6e269dcbf9bd2ed9",
}


def extension(kind: int, body: bytes) -> bytes:
    return struct.pack("!HH", kind, len(body)) + body


def sized(body: bytes, width: int) -> bytes:
    return len(body).to_bytes(width, "big") + body


def client_hello(
    chance: random.Random,
    host: str | None,
    alpn: tuple[str, ...] = (),
    *,
    more: bytes = b"",
    thirteen: bool = True,
) -> bytes:
    """The handshake message, without a record around it."""
    extensions = b""
    if host is not None:
        extensions += extension(0, sized(b"\0" + sized(host.encode(), 2), 2))
    extensions += extension(10, sized(struct.pack("!HH", 29, 23), 2))
    extensions += extension(13, sized(struct.pack("!HHH", 0x0403, 0x0804, 0x0401), 2))
    if alpn:
        offered = b"".join(sized(name.encode(), 1) for name in alpn)
        extensions += extension(16, sized(offered, 2))
    if thirteen:
        extensions += extension(43, sized(struct.pack("!HH", 0x0304, 0x0303), 1))
        share = struct.pack("!H", 29) + sized(chance.randbytes(32), 2)
        extensions += extension(51, sized(share, 2))
    extensions += more
    ciphers = struct.pack("!HHHH", 0x1301, 0x1302, 0xC02F, 0xC030)
    body = (
        b"\x03\x03" + chance.randbytes(32) + sized(chance.randbytes(32), 1) + sized(ciphers, 2)
        + b"\x01\0" + sized(extensions, 2)
    )  # fmt: skip
    return b"\x01" + sized(body, 3)


def server_hello(chance: random.Random, alpn: str | None = None, thirteen: bool = True) -> bytes:
    extensions = b""
    if thirteen:
        extensions += extension(43, b"\x03\x04")
        extensions += extension(51, struct.pack("!H", 29) + sized(chance.randbytes(32), 2))
    elif alpn:
        extensions += extension(16, sized(sized(alpn.encode(), 1), 2))
    cipher = 0x1301 if thirteen else 0xC02F
    body = (
        b"\x03\x03" + chance.randbytes(32) + sized(chance.randbytes(32), 1)
        + struct.pack("!HB", cipher, 0) + sized(extensions, 2)
    )  # fmt: skip
    return b"\x02" + sized(body, 3)


def record(kind: int, body: bytes, version: int = 0x0303) -> bytes:
    return struct.pack("!BH", kind, version) + sized(body, 2)


def initial(
    version: int,
    target: bytes,
    number: int,
    frames: bytes,
    size: int = 1200,
) -> bytes:
    """A QUIC Initial of the client, sealed with the keys that follow from its target."""
    keys = _keys(version, target)
    kind = 1 if version == V2 else 0
    first = 0xC0 | kind << 4 | 1  # a packet number of two bytes
    head = struct.pack("!BI", first, version) + sized(target, 1) + sized(b"\x07\x08", 1) + b"\0"
    room = size - len(head) - 2 - 2 - 16
    plain = frames.ljust(room, b"\0")
    head += struct.pack("!H", 0x4000 | len(plain) + 2 + 16) + struct.pack("!H", number)
    key, iv, protection = keys
    nonce = (int.from_bytes(iv, "big") ^ number).to_bytes(12, "big")
    sealed = AESGCM(key).encrypt(nonce, plain, head)
    mask = Cipher(algorithms.AES(protection), modes.ECB()).encryptor().update(sealed[2:18])
    hidden = bytes(a ^ b for a, b in zip(head[-2:], mask[1:3], strict=True))
    return bytes([head[0] ^ mask[0] & 0x0F]) + head[1:-2] + hidden + sealed


def crypto(at: int, body: bytes) -> bytes:
    """A CRYPTO frame."""
    return b"\x06" + struct.pack("!HH", 0x4000 | at, 0x4000 | len(body)) + body


def _keys(version: int, target: bytes) -> tuple[bytes, bytes, bytes]:
    first = _hmac(bytes.fromhex(SALTS[version]), target)
    secret = _expand(first, "client in", 32)
    word = "quicv2" if version == V2 else "quic"
    return (
        _expand(secret, f"{word} key", 16), _expand(secret, f"{word} iv", 12),
        _expand(secret, f"{word} hp", 16),
    )  # fmt: skip


def _expand(secret: bytes, label: str, size: int) -> bytes:
    text = b"tls13 " + label.encode()
    info = struct.pack("!H", size) + sized(text, 1) + b"\0"
    return _hmac(secret, info + b"\x01")[:size]


def _hmac(key: bytes, data: bytes) -> bytes:
    made = HMAC(key, SHA256())
    made.update(data)
    return made.finalize()
