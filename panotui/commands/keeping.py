"""Which packets a recorder keeps: `--keep`, `--before`, `--after`."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address

from panotui.commands.options import duration_s
from panotui.errors import UsageError
from panotui.model import SECOND, Site
from panotui.runtime.pipe import HEADER_BYTES, Keeping
from panotui.wire.text import printable

WHOLE_BYTES = 65_535
BYTES = {"media": WHOLE_BYTES, "headers": HEADER_BYTES, "control": 0}
SPAN_MOST_S = 120  # packets of this many seconds are held in memory


def kept_packets(keep: Sequence[str], before: str, after: str, site: Site) -> Keeping:
    """The settings of the options. UsageError for an invalid value."""
    bulk = HEADER_BYTES
    of_hosts: dict[str, int] = {}
    for word in keep:
        camera, equals, what = word.rpartition("=")
        if what not in BYTES:
            raise UsageError(
                f"--keep {printable(word, 60)}", f"{printable(what, 40)!r} is none of the kinds",
                "Say media, headers or control.",
            )  # fmt: skip
        if equals:
            of_hosts[_address(camera, site)] = BYTES[what]
        else:
            bulk = BYTES[what]
    return Keeping(
        before_ns=_span_ns("--before", before),
        after_ns=_span_ns("--after", after),
        bulk_bytes=bulk,
        of_hosts=of_hosts,
    )


def _address(camera: str, site: Site) -> str:
    known = next((c.address for c in site.camera if c.name == camera), None)
    try:
        return str(IPv4Address(known or camera))
    except ValueError:
        names = ", ".join(c.name for c in site.camera if c.name) or "none is named in a site file"
        raise UsageError(
            f"--keep {printable(camera, 60)}", f"no camera of that name is known ({names})",
            "Name it as in the site file, or by its IPv4 address.",
        ) from None  # fmt: skip


def _span_ns(option: str, text: str) -> int:
    seconds = 0.0 if text in ("0", "0s") else duration_s(text)
    if not 0 <= seconds <= SPAN_MOST_S:
        raise UsageError(f"{option} {text}", f"it is 0 to {SPAN_MOST_S} s", "Name a shorter time.")
    return int(seconds * SECOND)
