"""X.509 certificates: DER bytes in, names and dates out.

`cryptography` parses them; it is imported with the first certificate. A certificate that it rejects
gives None: the certificate is broken, not this program.
"""

from __future__ import annotations

import hashlib
import warnings
from collections import OrderedDict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from panotui.model import SECOND
from panotui.wire.text import printable

if TYPE_CHECKING:
    from cryptography import x509

NAMES_TOLD = 32
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_REMEMBERED = 256


class Certificate(NamedTuple):
    """Subject and issuer common names, the issuer's organisation, alternative names, validity."""

    subject: str
    issuer: str
    issuer_organisation: str
    names: tuple[str, ...]
    not_before_ns: int | None
    not_after_ns: int | None


_seen: OrderedDict[bytes, Certificate | None] = OrderedDict()


def parse(der: bytes) -> Certificate | None:
    """The facts of a certificate; the last few are cached, because sites see the same ones
    again.
    """
    key = hashlib.blake2b(der, digest_size=16).digest()
    if key in _seen:
        _seen.move_to_end(key)
        return _seen[key]
    facts = _read(der)
    _seen[key] = facts
    if len(_seen) > _REMEMBERED:
        _seen.popitem(last=False)
    return facts


def load() -> None:
    """Import `cryptography` now, with everything needed to parse a certificate."""
    _read(b"")


def _read(der: bytes) -> Certificate | None:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    try:
        # Otherwise warnings about odd serial numbers and the like go to stderr.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            certificate = x509.load_der_x509_certificate(der)
            return Certificate(
                subject=_common_name(certificate.subject),
                issuer=_common_name(certificate.issuer),
                issuer_organisation=_first(certificate.issuer, NameOID.ORGANIZATION_NAME),
                names=_alternative_names(certificate),
                not_before_ns=_ns(certificate.not_valid_before_utc),
                not_after_ns=_ns(certificate.not_valid_after_utc),
            )
    except Exception:  # noqa: BLE001  many kinds, from Rust and Python, on bytes from the wire
        return None


def _common_name(name: x509.Name) -> str:
    from cryptography.x509.oid import NameOID

    return _first(name, NameOID.COMMON_NAME) or printable(name.rfc4514_string())


def _first(name: x509.Name, oid: x509.ObjectIdentifier) -> str:
    found = name.get_attributes_for_oid(oid)
    return printable(found[0].value) if found else ""


def _alternative_names(certificate: x509.Certificate) -> tuple[str, ...]:
    from cryptography import x509

    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except Exception:  # noqa: BLE001  absent, or one extension of many is broken
        return ()
    names: list[str] = []
    for entry in extension.value:
        if isinstance(entry, x509.DNSName | x509.IPAddress) and len(names) < NAMES_TOLD:
            names.append(printable(str(entry.value).lower(), 255))
    return tuple(names)


def _ns(moment: datetime) -> int:
    between = moment - _EPOCH
    return (between.days * 86_400 + between.seconds) * SECOND
