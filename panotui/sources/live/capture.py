"""Live capture: a TPACKET_V3 ring on one interface, as a `Source`.

The kernel writes packets into shared memory (Documentation/networking/packet_mmap.rst). `read`
returns all ready blocks as one batch over that memory, and returns them to the kernel at the next
`read`. A kernel filter truncates bulk packets (`bpf`). An interface that disappears and comes back
is bound again with the same socket, which needs no privilege.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import mmap
import os
import select
import socket
import struct
import time
from pathlib import Path

import numpy as np

from panotui.errors import InterfaceError, PrivilegeError
from panotui.model import U8, Interface, PacketBatch, SourceCounters
from panotui.sources.live import ring
from panotui.sources.live.bpf import Snap, snap_program
from panotui.sources.live.interfaces import existing_interfaces

ETH_P_ALL = 0x0003
SOL_PACKET = 263
PACKET_ADD_MEMBERSHIP, PACKET_RX_RING, PACKET_STATISTICS = 1, 5, 6
PACKET_VERSION, PACKET_IGNORE_OUTGOING, TPACKET_V3 = 10, 23, 2
PACKET_MR_PROMISC = 1
SIOCGIFINDEX = 0x8933
SO_ATTACH_FILTER = 26
ARPHRD = {1: 1, 772: 1, 65534: 101, 512: 101, 519: 101, 776: 101, 768: 101, 778: 101}
# hardware types -> LINKTYPE: Ethernet and loopback; tunnels and PPP give bare IP

# On a quiet line the kernel closes a block every `RETIRE_MS`, however full it is: many small blocks
# bridge a pause of seconds there, and hold as much as a few large ones on a busy line.
BLOCK_BYTES = 1 << 17
BLOCKS_LEAST = 32
FRAME_BYTES = 2_048  # TPACKET_V3 only checks that it divides the block
BATCH_BLOCKS = 64  # of one batch: large enough to be efficient, with small columns
RETIRE_MS = 40  # a block that is not full is delivered after this time
STATISTICS_EVERY_S = 0.5
REOPEN_EVERY_S = 0.25

PRIVILEGE_REMEDY = (
    "Use sudo; or give a copy of python the capability (setcap cap_net_raw,cap_net_admin+ep COPY); "
    "or run the recorder as a service with AmbientCapabilities (panotui service prints the unit)."
)


def open_live(
    interface: str,
    *,
    ring_bytes: int = 64 << 20,
    snap: Snap | None = None,
    snap_bulk: int | None = None,
    promiscuous: bool = False,
    retire_ms: int = RETIRE_MS,
) -> LiveSource:
    """Capture on `interface`. `snap_bulk`: bytes kept of bulk packets (default 256).

    InterfaceError if there is no such interface or its link type is unknown; PrivilegeError without
    CAP_NET_RAW.
    """
    chosen = snap or Snap()
    if snap_bulk is not None:
        chosen = Snap(max(snap_bulk, 160), chosen.tcp, chosen.udp_control_ports, chosen.rtsp_ports)
    return LiveSource(interface, ring_bytes, chosen, promiscuous, retire_ms)


class LiveSource:
    """One interface. `present` is false while the interface is missing."""

    def __init__(
        self, name: str, ring_bytes: int, snap: Snap, promiscuous: bool, retire_ms: int
    ) -> None:
        if name not in existing_interfaces():
            raise InterfaceError(
                name,
                "no such interface",
                f"There are: {', '.join(existing_interfaces()) or 'none'}.",
            )
        self.name = name
        self.snap = snap
        self.promiscuous = promiscuous
        self.ended = False
        self.present = True
        self.counters = SourceCounters(format="live")
        self._socket = _packet_socket(name)
        try:
            self._prepare(ring_bytes, retire_ms)
        except BaseException:
            self._socket.close()
            raise
        self.interfaces = [Interface(name, self._linktype(), 65_535)]
        self._poll = select.poll()
        self._poll.register(self._socket.fileno(), select.POLLIN | select.POLLERR)
        self._next = 0  # the block that the kernel fills next
        self._held: list[int] = []
        self._statistics_due = 0.0
        self._reopen_due = 0.0
        self._interface_drops = _interface_drops(name)
        self._interface_drops_before = 0

    # ------------------------------------------------------------------ opening

    def _prepare(self, ring_bytes: int, retire_ms: int) -> None:
        self._attach(snap_program(self.snap))
        self._socket.setsockopt(SOL_PACKET, PACKET_VERSION, TPACKET_V3)
        self.blocks = max(ring_bytes // BLOCK_BYTES, BLOCKS_LEAST)
        while True:
            frames = self.blocks * BLOCK_BYTES // FRAME_BYTES
            request = struct.pack(
                "=7I", BLOCK_BYTES, self.blocks, FRAME_BYTES, frames, retire_ms, 0, 0
            )
            try:
                self._socket.setsockopt(SOL_PACKET, PACKET_RX_RING, request)
                break
            except OSError as error:
                if self.blocks <= BLOCKS_LEAST:
                    raise InterfaceError(
                        self.name,
                        f"the kernel gives no capture ring ({error.strerror})",
                        "Free some memory.",
                    ) from None
                self.blocks //= 2
        self._map = mmap.mmap(self._socket.fileno(), self.blocks * BLOCK_BYTES, mmap.MAP_SHARED)
        self._ring: U8 = np.frombuffer(self._map, np.uint8)
        self._view: U8 = self._ring.view()
        self._view.flags.writeable = False
        self._status = ring.block_words(self._ring, BLOCK_BYTES)[:, ring.BLOCK_STATUS // 4]
        if self.name == "lo":  # otherwise every packet comes twice
            with contextlib.suppress(OSError):
                self._socket.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        self._bind()

    def _attach(self, program: bytes) -> None:
        """Set the filter before the socket is bound, so that no packet bypasses it."""
        code = array.array("B", program)
        address, _ = code.buffer_info()
        self._socket.setsockopt(
            socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("@HP", len(program) // 8, address)
        )

    def _bind(self) -> None:
        index = self._index_now()
        self._socket.bind((self.name, ETH_P_ALL))
        self._index = index
        if self.promiscuous:
            with contextlib.suppress(OSError):
                self._socket.setsockopt(
                    SOL_PACKET,
                    PACKET_ADD_MEMBERSHIP,
                    struct.pack("=iHH8s", index, PACKET_MR_PROMISC, 0, b""),
                )

    def _index_now(self) -> int:
        """The interface's number. Our socket is queried: it belongs to the network namespace in
        which it was opened, even if this process has moved. OSError if there is no such interface.
        """
        answer = fcntl.ioctl(self._socket, SIOCGIFINDEX, struct.pack("16si", self.name.encode(), 0))
        return int(struct.unpack_from("i", answer, 16)[0])

    def _linktype(self) -> int:
        hardware = self._socket.getsockname()[3]
        linktype = ARPHRD.get(hardware)
        if linktype is None:
            self.close()
            raise InterfaceError(
                self.name,
                f"its link type ({hardware}) is neither Ethernet nor IP",
                "Choose an Ethernet interface.",
            )
        return linktype

    # ------------------------------------------------------------------ reading

    def fileno(self) -> int:
        """The socket, readable when a block is ready; for polling together with others."""
        return self._socket.fileno()

    def filled(self) -> float:
        """The share of the ring that waits to be read, 0 to 1; costs next to nothing."""
        return int(np.count_nonzero(self._status & ring.STATUS_USER)) / self.blocks

    def read(self, timeout_s: float = 0.0) -> PacketBatch | None:
        """All ready packets as one batch, or None on timeout or while the interface is missing.

        Returns the previous batch to the kernel.
        """
        if self.ended:
            return None
        self._give_back()
        deadline = time.monotonic() + timeout_s
        while True:
            now = time.monotonic()
            self._account(now)
            if not self.present:
                self._return(now)
            blocks = self._ready()
            if blocks:
                found = self._batch(blocks)
                if found is not None:
                    return found
                continue
            if now >= deadline:
                return None
            self._wait(min(deadline - now, REOPEN_EVERY_S))

    def _wait(self, seconds: float) -> None:
        for _, events in self._poll.poll(max(seconds, 0.0) * 1000):
            if events & (select.POLLERR | select.POLLHUP | select.POLLNVAL):
                self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)  # clears it
                self._look()

    def _ready(self) -> list[int]:
        """The blocks that are ours now, oldest first. At most half the ring at once, so that the
        kernel can keep writing, and no more than fits into a batch.
        """
        most = min(self.blocks // 2, BATCH_BLOCKS)
        blocks: list[int] = []
        at = self._next
        while len(blocks) < most and int(self._status[at]) & ring.STATUS_USER:
            blocks.append(at)
            at = (at + 1) % self.blocks
        return blocks

    def _batch(self, blocks: list[int]) -> PacketBatch | None:
        self._held = blocks
        self._next = (blocks[-1] + 1) % self.blocks
        offsets = ring.packet_offsets(self._ring, BLOCK_BYTES, blocks)
        if not len(offsets):
            self._give_back()
            return None
        first = self.counters.packets + 1
        found = ring.batch(self._ring, offsets, self.interfaces, 0, first, self._view)
        self.counters.packets += len(offsets)
        size = int(found.wire_length.sum())
        self.counters.bytes += size
        self.counters.read_bytes += size
        return found

    def _give_back(self) -> None:
        if self._held:
            self._status[self._held] = ring.STATUS_KERNEL
            self._held = []

    # ------------------------------------------------------------------ what was missed

    def _account(self, now: float) -> None:
        if now < self._statistics_due:
            return
        self._statistics_due = now + STATISTICS_EVERY_S
        # reading resets them, and the packets include the drops (af_packet.c)
        raw = self._socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 12)
        _, drops, _ = struct.unpack("=3I", raw)
        self.counters.dropped_ring += drops
        if self.present:
            drops = _interface_drops(self.name)
            if drops < self._interface_drops:  # another interface under the old name
                self._interface_drops_before = self.counters.dropped_interface
                self._interface_drops = 0
            self.counters.dropped_interface = (
                self._interface_drops_before + drops - self._interface_drops
            )
            self._look()

    def _look(self) -> None:
        try:
            self.present = self._index_now() == self._index
        except OSError:
            self.present = False

    def _return(self, now: float) -> None:
        """Bind again when an interface with our name is back; the ring stays."""
        if now < self._reopen_due:
            return
        self._reopen_due = now + REOPEN_EVERY_S
        try:
            self._bind()
        except OSError:
            return
        self._interface_drops_before = self.counters.dropped_interface
        self._interface_drops = _interface_drops(self.name)
        self.present = True

    def close(self) -> None:
        """End the capture; batches of this source are invalid from now on."""
        self.ended = True
        self._held = []
        self._socket.close()
        del self._status, self._ring, self._view
        with contextlib.suppress(BufferError):
            self._map.close()


def _packet_socket(name: str) -> socket.socket:
    if not hasattr(socket, "AF_PACKET"):
        raise InterfaceError(
            name, "live capture needs Linux", "Capture with tcpdump and use panotui analyze."
        )
    try:
        # protocol 0: nothing is received before the filter is set and the socket is bound
        return socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    except PermissionError:
        raise PrivilegeError(name, "capture needs CAP_NET_RAW", PRIVILEGE_REMEDY) from None
    except OSError as error:
        raise InterfaceError(
            name, f"the kernel has no packet sockets ({os.strerror(error.errno or 0)})"
        ) from None


def _interface_drops(name: str) -> int:
    """Packets dropped by the interface itself since it exists (sysfs)."""
    total = 0
    folder = Path("/sys/class/net") / name / "statistics"
    for counter in ("rx_dropped", "rx_missed_errors"):
        with contextlib.suppress(OSError, ValueError):
            total += int((folder / counter).read_text())
    return total
