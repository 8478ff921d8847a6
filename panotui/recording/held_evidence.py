"""Evidence of a live screen without a recorder: the packets of the newest incidents, in memory.

It replaces the recorder for `EvidenceTap`, and serves `w` on the screen: only then are the held
packets of a finding or violation written as pcapng. Bounded; the oldest are dropped first.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from panotui.errors import NotYetError, UsageError
from panotui.model import EvidenceFileRecord
from panotui.recording.evidence_export import GATHERED, Saved
from panotui.recording.items import Evidence
from panotui.recording.pcapng import PcapngFile
from panotui.recording.retention import Limits
from panotui.runtime.pipe import HEADER_BYTES, Keeping

HELD_BYTES = 8 << 20
HELD_MOST = 64
# The screen shares its machine with the application: it holds less than a recorder, and no packets
# for files with all control packets.
KEEPING = Keeping(bulk_bytes=HEADER_BYTES, ring_bytes=4 << 20, segments=False)


class HeldEvidence:
    """The newest packets that prove something."""

    def __init__(self, most_bytes: int = HELD_BYTES, most: int = HELD_MOST) -> None:
        self.limits = Limits(evidence_bytes=most_bytes)
        self._most_bytes, self._most = most_bytes, most
        self._held: OrderedDict[tuple[str, int], Evidence] = OrderedDict()
        self._bytes = 0
        self.gathers: Callable[[str], bool] = lambda _key: False  # `EvidenceTap.gathers`

    def keep(self, evidence: Evidence) -> bool:
        """Hold these packets; false for those without an incident, and for more than the limit."""
        if not evidence.subject or evidence.bytes > self._most_bytes:
            return False
        earlier = self._held.pop((evidence.subject, evidence.time_ns), None)
        self._bytes += evidence.bytes - (0 if earlier is None else earlier.bytes)
        self._held[evidence.subject, evidence.time_ns] = evidence
        while self._bytes > self._most_bytes or len(self._held) > self._most:
            _, oldest = self._held.popitem(last=False)
            self._bytes -= oldest.bytes
        return True

    def of(self, subject: str, since_ns: int) -> EvidenceFileRecord | None:
        return None  # there is no file yet whose frames could be named

    def save(self, key: str, target: Path) -> Saved:
        """Write the held packets of `key` ("finding:KEY", "violation:ID") into the new file
        `target`. NotYetError while they are being collected, UsageError if there are none; OSError.
        """
        if self.gathers(key):
            raise NotYetError("packets", GATHERED)
        found = next((e for e in reversed(self._held.values()) if e.subject == key), None)
        if found is None:
            wait_s = KEEPING.after_ns // 1_000_000_000
            raise UsageError(
                "packets", "none are held of this now",
                f"They are gathered for {wait_s} s and kept of what is newest; `panotui record`"
                " keeps all that prove something.",
            )  # fmt: skip
        with PcapngFile(target, found.title, new=True) as file:
            written = found.write(file)
        return Saved(target, written.packets, written.frames, False)
