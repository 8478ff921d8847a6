"""TCP conversations at random: made from a seed, with what goes wrong on wires and at mirrors.

Each conversation walks at random through sending, acknowledging, losing, repeating, reordering,
closing windows, probing, resetting and opening its port again. What a mirror loses advances the
ends and is left out of the frames. Out come frames with times, unique IPv4 identifications (none is
a copy) and one pair of ports a conversation.
"""

from __future__ import annotations

import ipaddress
import itertools
import random
import struct
from dataclasses import dataclass, field

MAC_A, MAC_B = bytes.fromhex("020000000005"), bytes.fromhex("020000000009")
START_US = 1_760_000_000_000_000
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
WAITS_US = (0, 1, 40, 300, 900, 2500, 6000, 15_000, 19_999, 20_001, 45_000, 210_000, 1_200_000)
SIZES = (1, 2, 3, 100, 536, 1000, 1460)


@dataclass
class End:
    """One end of a connection: what it sent, what it believes of the other."""

    next: int  # sequence number of the next new byte
    window: int
    scale: int | None
    acked: int = 0  # what it acknowledges
    sent: list[tuple[int, int, int]] = field(default_factory=list)  # number, length, flags
    told: int = 0  # window as last sent, in bytes


class Conversation:
    """A random walk; `frames` of (microseconds, bytes)."""

    def __init__(self, seed: int, steps: int, six: bool = False) -> None:
        self.random = random.Random(seed)
        self.ports = (20_000 + seed % 40_000, 9000)
        ends = ("2001:db8::5", "2001:db8::9") if six else ("10.1.0.5", "10.1.0.9")
        self.ends = [ipaddress.ip_address(end).packed for end in ends]
        self.six = six
        self.now = START_US + self.random.randrange(1_000_000)
        self.identification = self.random.randrange(1 << 16)
        self.frames: list[tuple[int, bytes]] = []
        self.zero = False  # a number was 0, which tshark takes for unknown
        self.loss = self.random.choice((0, 0, 0, 0.02, 0.1))
        self.blind = self.random.choice((None, None, None, None, 0, 1))
        self.open_()
        for _ in range(steps):
            self.step()

    # ---------------------------------------------------------------- the walk

    def open_(self, again: bool = False) -> None:
        draw = self.random
        self.dead = False
        scale = draw.choice((None, 0, 2, 7))
        number = draw.choice((5, 0x7FFFFF00, 0xFFFFFE07, draw.randrange(1 << 32)))
        other = draw.choice((7, 0x7FFFFF00, 0xFFFFF009, draw.randrange(1 << 32)))
        if again:
            number, other = draw.randrange(1 << 32), draw.randrange(1 << 32)
        self.end = [
            End(number, draw.choice((500, 4096, 65_535)), scale),
            End(other, draw.choice((500, 4096, 65_535)), draw.choice((scale, None))),
        ]
        for me in (0, 1):
            self.end[me].acked = self.end[1 - me].next
        if not again and draw.random() < 0.25:  # caught in its middle
            return
        for _ in range(draw.choice((1, 1, 1, 2, 4))):
            self.send(0, flags=SYN, again=(number, 0, SYN))
            self.now += draw.choice(WAITS_US[2:])
        self.end[0].next = (number + 1) % (1 << 32)
        kind = draw.random()
        if kind < 0.06:  # nobody answers
            self.dead = True
            return
        self.end[1].acked = self.end[0].next
        if kind < 0.14 and self.blind != 0:  # refused
            self.send(1, flags=RST | ACK, again=(0, 0, 0))
            if draw.random() < 0.5:
                self.dead = True
                return
            self.now += 500_000  # and asked again
            self.send(0, flags=SYN, again=(number, 0, SYN))
            self.now += draw.choice(WAITS_US[2:])
        for _ in range(draw.choice((1, 1, 1, 2))):
            self.send(1, flags=SYN | ACK, again=(other, 0, 0))
            self.now += draw.choice(WAITS_US[2:])
        self.end[1].next = (other + 1) % (1 << 32)
        self.end[0].acked = self.end[1].next
        if kind > 0.2:
            self.send(0)

    def wait(self) -> None:
        self.now += self.random.choice(WAITS_US)

    def step(self) -> None:
        draw = self.random
        if draw.random() < 0.7:
            self.wait()
        if self.dead:
            self.reopen(0)
        me = draw.randrange(2)
        actions = (
            (self.data, 10), (self.burst, 4), (self.acknowledge, 10), (self.repeat_ack, 3),
            (self.again, 4), (self.reordered, 2), (self.resize, 3), (self.close_window, 1),
            (self.fill, 2), (self.probe, 2), (self.keep_alive, 2), (self.finish, 0.5),
            (self.reset, 0.3), (self.reopen, 0.3), (self.odd, 1),
        )  # fmt: skip
        action = draw.choices([a for a, _ in actions], [w for _, w in actions])[0]
        action(me)

    def data(self, me: int) -> None:
        if self.random.random() < 0.5:
            self.acknowledged(me)
        self.send(me, self.random.choice(SIZES), flags=ACK | self.random.choice((0, PSH)))

    def burst(self, me: int) -> None:
        size = self.random.choice(SIZES)
        for _ in range(self.random.randrange(2, 9)):
            self.send(me, size)
            self.now += self.random.choice((0, 10, 120))

    def acknowledged(self, me: int) -> None:
        """Take all that the other sent, or some of it, as received."""
        other = self.end[1 - me]
        if self.random.random() < 0.8 or not other.sent:
            self.end[me].acked = other.next
        else:
            number, length, _ = self.random.choice(other.sent[-5:])
            if (number + length - self.end[me].acked) % (1 << 32) < 1 << 31:
                self.end[me].acked = (number + length) % (1 << 32)

    def acknowledge(self, me: int) -> None:
        self.acknowledged(me)
        self.send(me)

    def repeat_ack(self, me: int) -> None:
        for _ in range(self.random.randrange(1, 6)):
            sack = self.random.random() < 0.4
            self.send(me, sack=sack)
            self.now += self.random.choice((0, 50, 900))
        if self.random.random() < 0.5:  # as asked: a fast retransmission
            other = self.end[1 - me]
            found = [s for s in other.sent if s[0] == self.end[me].acked]
            if found:
                self.now += self.random.choice((100, 19_000, 21_000))
                self.send(1 - me, again=found[-1])

    def again(self, me: int) -> None:
        sent = self.end[me].sent
        if not sent:
            return
        number, length, flags = self.random.choice(sent[-8:])
        kind = self.random.random()
        if flags & SYN:
            pass
        elif kind < 0.15 and length > 1:  # another cut
            cut = self.random.randrange(1, length)
            number, length = (number + cut) % (1 << 32), length - cut
        elif kind < 0.3:
            length += self.random.choice(SIZES)  # and more of it
        self.send(me, again=(number, length, flags))

    def reordered(self, me: int) -> None:
        start = len(self.frames)
        self.burst(me)
        times = [at for at, _ in self.frames[start:]]
        frames = [frame for _, frame in self.frames[start:]]
        self.random.shuffle(frames)
        self.frames[start:] = list(zip(times, frames, strict=True))

    def resize(self, me: int) -> None:
        self.end[me].window = self.random.choice((1, 500, 1000, 4096, 30_000, 65_535))
        self.send(me)

    def close_window(self, me: int) -> None:
        self.acknowledged(me)
        self.end[me].window = 0
        for _ in range(self.random.randrange(1, 3)):
            self.send(me)
        if self.random.random() < 0.6:
            self.wait()
            self.probe(1 - me)
            self.send(me)
            self.end[me].window = self.random.choice((500, 65_535))
            self.send(me)

    def fill(self, me: int) -> None:
        """Send up to the edge of the other's window."""
        other = self.end[1 - me]
        left = (other.acked + other.told - self.end[me].next) % (1 << 32)
        if 0 < left < 20_000:
            while left > 0:
                size = min(left, 1460)
                self.send(me, size)
                left -= size

    def probe(self, me: int) -> None:
        """A byte at the edge; it may be taken or not."""
        number = self.end[me].next
        for _ in range(self.random.randrange(1, 4)):
            self.send(me, again=(number, 1, 0))
            self.wait()
            if self.random.random() < 0.7:
                self.send(1 - me)
        if self.random.random() < 0.3:
            self.end[me].next = (number + 1) % (1 << 32)

    def keep_alive(self, me: int) -> None:
        for _ in range(self.random.randrange(1, 4)):
            number = (self.end[me].next - 1) % (1 << 32)
            self.send(me, again=(number, self.random.choice((0, 0, 1)), 0))
            self.wait()
            if self.random.random() < 0.8:
                self.send(1 - me)

    def finish(self, me: int) -> None:
        number = self.end[me].next
        length = self.random.choice((0, 0, 100))
        for _ in range(self.random.choice((1, 1, 3))):
            self.send(me, flags=FIN | ACK, again=(number, length, FIN))
            self.wait()
        self.end[me].next = (number + length + 1) % (1 << 32)
        if self.random.random() < 0.8:
            self.acknowledge(1 - me)

    def reset(self, me: int) -> None:
        flags, number = RST, self.end[me].next
        if self.random.random() < 0.5:
            flags |= ACK
        if self.random.random() < 0.2:
            number = (number + self.random.choice((-5, 7000))) % (1 << 32)
        self.send(me, flags=flags, again=(number, 0, 0))

    def reopen(self, me: int) -> None:
        self.open_(again=True)

    def odd(self, me: int) -> None:
        """What no good end sends: far ahead, far behind, an old or unseen acknowledgement."""
        end = self.end[me]
        kind = self.random.randrange(4)
        if kind == 0:
            end.next = (end.next + self.random.choice((1, 1460, 100_000))) % (1 << 32)
        elif kind == 1 and end.sent:
            self.send(me, again=(end.sent[0][0], self.random.choice(SIZES), 0))
        elif kind == 2:
            kept, end.acked = end.acked, (end.acked + 5000) % (1 << 32)
            self.send(me)
            end.acked = kept
        else:
            kept, end.acked = end.acked, (end.acked - 1460) % (1 << 32)
            self.send(me)
            end.acked = kept

    # ---------------------------------------------------------------- frames

    def send(
        self,
        me: int,
        length: int = 0,
        flags: int = ACK,
        again: tuple[int, int, int] | None = None,
        sack: bool = False,
    ) -> None:
        end = self.end[me]
        if again is None:
            number = end.next
            if length:
                end.next = (number + length) % (1 << 32)
        else:
            number, length, more = again
            flags |= more
        if length or flags & (SYN | FIN):
            end.sent.append((number, length, flags & (FIN | SYN)))
        shift = (
            0 if flags & SYN or end.scale is None or self.end[1 - me].scale is None else end.scale
        )
        window = min(end.window >> shift, 65_535)
        end.told = window << shift
        if me == self.blind or self.random.random() < self.loss:
            return  # lost before the mirror
        self.frames.append((self.now, self.frame(me, number, length, flags, window, sack)))

    def frame(
        self, me: int, number: int, length: int, flags: int, window: int, sack: bool
    ) -> bytes:
        end = self.end[me]
        options = b""
        if flags & SYN:
            options = struct.pack("!BBH", 2, 4, 1460)
            if end.scale is not None:
                options += struct.pack("!BBBB", 1, 3, 3, end.scale)
        elif sack:
            left = (end.acked + 1460) % (1 << 32)
            options = struct.pack("!BBBBII", 1, 1, 5, 10, left, (left + 1460) % (1 << 32))
        ports = self.ports if me == 0 else self.ports[::-1]
        acked = end.acked if flags & ACK else 0
        ends = (number, number + length, number + length + 1, acked or not flags & ACK)
        self.zero |= not flags & RST and any(n % (1 << 32) == 0 for n in ends)
        body = struct.pack(
            "!HHIIBBHHH", *ports, number, acked, (20 + len(options)) // 4 << 4, flags, window, 0, 0
        )
        body += options + bytes(length)
        src, dst = self.ends if me == 0 else self.ends[::-1]
        self.identification = self.identification % 0xFFFF + 1
        macs = MAC_B + MAC_A if me == 0 else MAC_A + MAC_B
        if self.six:
            label = 6 << 28 | self.identification  # tells packets apart, as no sender would
            head = struct.pack("!IHBB", label, len(body), 6, 64) + src + dst
            return macs + b"\x86\xdd" + head + body
        head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), self.identification, 0, 64, 6, 0)
        return macs + b"\x08\x00" + head + src + dst + body


def conversations(seed: int, count: int, steps: int, six: bool = False) -> list[tuple[int, bytes]]:
    """Frames of `count` conversations, interleaved by time, each with its own ports."""
    made = (Conversation(seed * 1000 + number, steps, six) for number in itertools.count())
    some = itertools.islice((c for c in made if not c.zero), count)
    return sorted((frame for c in some for frame in c.frames), key=lambda frame: frame[0])


def pcap(frames: list[tuple[int, bytes]], link: int = 1) -> bytes:
    """A little-endian capture file with microseconds."""
    out = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 1 << 18, link)]
    for at, frame in frames:
        out.append(struct.pack("<IIII", *divmod(at, 1_000_000), len(frame), len(frame)) + frame)
    return b"".join(out)
