from __future__ import annotations

import random
from pathlib import Path

import pytest
from cryptography import x509 as certificates
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding

from panotui.model import (
    TlsAlert,
    TlsCertificate,
    TlsClientHello,
    TlsFinished,
    TlsServerHello,
)
from panotui.wire import quic, tls, x509
from panotui.wire.origin import Malformed
from tests.captures import capture
from tests.meter.control.test_tls import hello_record
from tests.meter.through_lane import run
from tests.meter.tls_in_memory import certificate
from tests.wire.seen_at import HERE

DCID = bytes.fromhex("8394c8f03e515708")


def test_keys_are_those_of_rfc_9001_appendix_a_1():
    keys = quic.InitialKeys(quic.V1, DCID)
    assert keys.key.hex() == "1f369613dd76d5467730efcbe3b1a22d"
    assert keys.iv.hex() == "fa044b2f42a3fd3b46fb255c"
    assert keys.hp.hex() == "9f50449e04a0e810283a1e9933adedd2"


def test_keys_of_version_2_are_those_of_rfc_9369_appendix_a_1():
    keys = quic.InitialKeys(quic.V2, DCID)
    assert keys.key.hex() == "8b1a0bc121284290a29e0971b5cd045d"
    assert keys.iv.hex() == "91f73e2351d8fa91660e909f"
    assert keys.hp.hex() == "45b95e15235d6f45a6b19cbcb0294ba9"


def seal(frames: bytes, number: int = 0, dcid: bytes = DCID, version: int = quic.V1) -> bytes:
    """A client Initial as RFC 9001 section 5 writes it."""
    keys = quic.InitialKeys(version, dcid)
    frames = frames.ljust(1162, b"\0")
    first = 0xC3 | (0x10 if version == quic.V2 else 0)
    head = bytes((first,)) + version.to_bytes(4, "big") + bytes((len(dcid),)) + dcid + b"\0\0"
    head += (0x4000 | (4 + len(frames) + 16)).to_bytes(2, "big") + number.to_bytes(4, "big")
    nonce = (int.from_bytes(keys.iv, "big") ^ number).to_bytes(12, "big")
    sealed = AESGCM(keys.key).encrypt(nonce, frames, head)
    mask = Cipher(algorithms.AES(keys.hp), modes.ECB()).encryptor().update(sealed[:16])
    packet = bytearray(head + sealed)
    packet[0] ^= mask[0] & 0x0F
    for i in range(4):
        packet[len(head) - 4 + i] ^= mask[1 + i]
    return bytes(packet)


def crypto(message: bytes, offset: int, size: int) -> bytes:
    part = message[offset : offset + size]
    return (
        b"\x06"
        + (0x4000 | offset).to_bytes(2, "big")
        + (0x4000 | len(part)).to_bytes(2, "big")
        + part
    )


@pytest.mark.parametrize("version", [quic.V1, quic.V2])
def test_hello_in_shuffled_frames_of_several_packets_is_read(version):
    message = hello_record(fill=1500)
    frames = [crypto(message, at, 300) for at in range(0, len(message), 300)]
    random.Random(1).shuffle(frames)
    hello = quic.Hello()
    packets = [
        seal(b"\x01" + b"".join(frames[:3]), 0, version=version),
        seal(b"\0\0\x02\x00\x00\x00\x00" + b"".join(frames[3:]), 1, version=version),
    ]
    assert hello.feed(packets[0], HERE) is None
    told = hello.feed(packets[1], HERE)
    assert told is not None
    assert (told.sni, told.carrier) == ("logs.us-east-1.amazonaws.com", "quic")
    assert told.size == len(message)
    assert hello.done


def test_keys_after_a_retry_come_from_the_new_id():
    message = hello_record()
    hello = quic.Hello()
    assert hello.feed(seal(crypto(message, 0, 20)), HERE) is None
    told = hello.feed(seal(crypto(message, 0, 400), 1, dcid=b"new-id"), HERE)
    assert told is not None
    assert told.sni == "logs.us-east-1.amazonaws.com"


def test_later_packets_with_the_servers_id_keep_the_first_keys():
    message = hello_record(fill=900)
    hello = quic.Hello()
    assert hello.feed(seal(crypto(message, 0, 500)), HERE) is None
    forged = bytearray(seal(crypto(message, 500, 900), 1))
    forged[6] ^= 1  # another id: neither key opens it, nothing is told
    assert hello.feed(bytes(forged), HERE) is None
    assert hello.feed(seal(crypto(message, 500, 900), 2), HERE) is not None


def test_crypto_beyond_the_limit_is_malformed():
    with pytest.raises(Malformed):
        quic.Hello().feed(
            seal(b"\x06" + (0x80100000).to_bytes(4, "big") + b"\x41\x00" + bytes(256)), HERE
        )


def test_connection_that_never_completes_is_given_up():
    hello = quic.Hello()
    for number in range(12):
        hello.feed(seal(b"\x01", number), HERE)
    assert hello.done


@pytest.mark.parametrize("cut", [0, 6, 20, 40, 1000])
def test_cut_datagrams_give_nothing_or_are_malformed(cut):
    try:
        assert quic.Hello().feed(seal(crypto(hello_record(), 0, 400))[:cut], HERE) is None
    except Malformed:
        pass


def test_certificate_facts_are_read():
    pem = Path(certificate("logs.us-east-1.amazonaws.com")).read_bytes()
    der = certificates.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)
    facts = x509.parse(der)
    assert facts is not None
    assert (facts.subject, facts.issuer_organisation) == (
        "logs.us-east-1.amazonaws.com",
        "Lab Inc.",
    )
    assert facts.names == ("logs.us-east-1.amazonaws.com",)
    assert facts.not_before_ns is not None
    assert facts.not_after_ns is not None
    assert (facts.not_after_ns - facts.not_before_ns) // 86_400_000_000_000 == 90
    assert x509.parse(der) is facts  # the second time costs a hash
    assert x509.parse(der[:-1]) is None
    assert x509.parse(b"") is None


@pytest.mark.parametrize(
    ("number", "text"),
    [(0x0300, "ssl3"), (0x0301, "1.0"), (0x0304, "1.3"), (0x7F1C, "1.3"), (0x1234, "0x1234")],
)
def test_versions_have_their_names(number, text):
    assert tls.version_text(number) == text


def test_extensions_that_lie_about_their_length_are_malformed():
    body = hello_record()[4:]
    for at in (34, 35, 39, 41, 45):
        broken = bytearray(body)
        broken[at] = 0xFF
        with pytest.raises(Malformed):
            tls.client_hello(bytes(broken))


ZEEK_SAYS = {
    # file: (version, cipher, server name, established, last clear alert)
    "zeek__tls_tls13-ech.pcap": ("1.3", 0x1301, "cloudflare-ech.com", True, None),
    "zeek__tls_chrome-1250-tls-x25519-kyber.pcap": ("1.3", 0x1301, "lh3.google.com", True, None),
    "zeek__mysql_tls-13-amazon-rds.pcap": ("1.3", 0x1302, None, True, None),
    "zeek__tls_tls-1.2-handshake-failure.pcap": (None, None, None, False, 40),
}


@pytest.mark.oracle
@pytest.mark.parametrize("name", sorted(ZEEK_SAYS))
def test_handshakes_are_what_zeek_says(name):
    version, cipher, host, established, alert = ZEEK_SAYS[name]
    result = run(capture(f"open/{name}"))
    assert {m.sni for m in result.of(TlsClientHello)} == {host}
    answers = {(m.version, m.cipher) for m in result.of(TlsServerHello)}
    assert answers == ({(version, cipher)} if version else set())
    assert bool(result.of(TlsFinished)) is established
    assert [m.code for m in result.of(TlsAlert)] == ([alert] if alert else [])


def test_client_certificate_and_its_request_are_told():
    result = run(capture("open/zeek__tls_client-certificate.pcap"))
    server, client = result.of(TlsCertificate)
    assert (server.subject, server.chain, server.requested) == ("certauth.idrix.fr", 3, True)
    assert (client.from_client, client.subject) == (True, "johanna@corelight.com")


def test_retry_counts_as_one_hello():
    result = run(capture("open/zeek__tls_hrr.pcap"))
    assert len(result.of(TlsClientHello)) == 1
    assert result.of(TlsServerHello)[0].retry_request


def test_lab_cloud_peers_are_read():
    result = run(capture("lab/peers.pcap"))
    assert [(m.sni, m.alpn) for m in result.of(TlsClientHello)] == [
        ("a1b2c3-ats.iot.us-east-1.amazonaws.com", ("x-amzn-mqtt-ca",)),
        ("logs.us-east-1.amazonaws.com", ("http/1.1",)),
        (None, ("mqtt",)),
    ]
    assert len(result.of(TlsFinished)) == 3
    assert [m.issuer for m in result.of(TlsCertificate)] == ["lab CA"]
