"""TCP as stacks speak it: time stamps, delayed acknowledgements, retransmission, keep-alives."""

from __future__ import annotations

import random
import struct

from tests.situations.stack import Host, Site, checksum

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
SHAPES = {  # window scale, window, time stamps, selective acknowledgements
    "linux": (7, 64240, True, True),
    "far": (8, 65535, True, True),
    "windows": (8, 64240, False, True),
    "embedded": (2, 14600, True, True),
    "router": (0, 5840, False, False),
    "tiny": (None, 2144, False, False),
}


class Conn:
    """One connection, seen beside the client; `t` is where its talk stands."""

    def __init__(
        self, site: Site, client: Host, server: Host, port, sport=None, rtt=None, mss=1460
    ):
        self.site, self.ends, self.mss = site, (client, server), mss
        self.ports = (sport or client.ephemeral(), port)
        self.rtt = site.rtt if rtt is None else rtt
        r = random.Random(f"{client.ip}{self.ports}{server.ip}{len(site.frames)}")
        self.seq = [r.randrange(1 << 32), r.randrange(1 << 32)]
        self.due: list[tuple[float, int] | None] = [None, None]
        self.unacked = [0, 0]
        self.stamps = all(SHAPES[h.stack][2] for h in self.ends)
        self.seen = [0, 0]
        self.ttl: int | None = None  # of what the server's side sends
        self.t = 0.0

    # -------------------------------------------------------- segments
    def seg(self, at, who, flags, data=b"", seq=None, ack=None, win=None, ttl=None, opts=None):
        src, dst = self.ends[who], self.ends[1 - who]
        scale, size, _, sack = SHAPES[src.stack]
        tick = (src.ticks + int(at * 1000)) & 0xFFFFFFFF
        if opts is None:
            opts = b""
            if flags & SYN:
                opts = struct.pack("!BBH", 2, 4, self.mss)
                opts += b"\4\2" if sack else b"\1\1" if scale is not None else b""
                if self.stamps:
                    opts += struct.pack("!BBII", 8, 10, tick, self.seen[who] if flags & ACK else 0)
                elif scale is not None:
                    opts += b"\1\1"
                if scale is not None:
                    opts += b"\1" + struct.pack("!BBB", 3, 3, scale)
                opts += b"\1" * (-len(opts) % 4)
            elif self.stamps and not flags & RST:
                opts = b"\1\1" + struct.pack("!BBII", 8, 10, tick, self.seen[who])
        self.seen[1 - who] = tick
        seq = self.seq[who] if seq is None else seq
        ack = (self.seq[1 - who] if flags & ACK else 0) if ack is None else ack
        if win is None:
            win = (
                0
                if flags & RST
                else size
                if flags & SYN
                else min(65535, (size * 8 >> (scale or 0)) or 502)
            )
        head = (
            struct.pack(
                "!HHIIBBHHH",
                self.ports[who],
                self.ports[1 - who],
                seq & 0xFFFFFFFF,
                ack & 0xFFFFFFFF,
                (5 + len(opts) // 4) << 4,
                flags,
                win,
                0,
                0,
            )
            + opts
        )
        c = checksum(self.site.pseudo(src, dst, 6, len(head) + len(data)) + head + data)
        head = head[:16] + struct.pack("!H", c) + head[18:]
        if ttl is None and who:
            ttl = self.ttl
        return self.site.ip(at, src, dst, 6, head + data, ttl=ttl)

    def settle(self, who, at):
        """What `who` owes: an acknowledgement of its own, if nothing it sends until `at` has it."""
        if self.due[who] and self.due[who][0] <= at:
            when, ack = self.due[who]
            self.seg(when, who, ACK, ack=ack)
            self.due[who] = None
            self.unacked[who] = 0

    def send(self, who, data, at=None, lost=(), quick=False):
        """Data; the other side acknowledges each second segment, the rest 40 ms later or with its
        own. `lost`: numbers of segments that never arrive, and are sent again."""
        at = self.t if at is None else max(at, 0)
        self.settle(1 - who, at)
        self.settle(who, at)
        self.due[who] = None
        self.unacked[who] = 0
        size, n, hole, t = self.mss - (12 if self.stamps else 0), 0, None, at
        way = self.rtt if not who else 0.0002  # until the other side's answer is seen here
        for start in range(0, len(data), size):
            part = data[start : start + size]
            if n and n % 10 == 0:
                t += min(self.rtt, 0.05)
            if n in lost:
                hole = (self.seq[who], part, n) if hole is None else hole
                if not who:  # lost beyond this place
                    self.seg(t, who, ACK, part)
            else:
                self.seg(t, who, ACK | (PSH if start + size >= len(data) else 0), part)
                self.unacked[1 - who] += 1
            self.seq[who] += len(part)
            if hole is not None and n != hole[2]:
                self.sack(t + way, 1 - who, hole[0], self.seq[who] - len(part), self.seq[who])
            elif hole is None and (self.unacked[1 - who] >= 2 or quick):
                self.seg(t + way, 1 - who, ACK)
                self.unacked[1 - who], self.due[1 - who] = 0, None
            elif hole is None:
                self.due[1 - who] = (t + way + 0.04, self.seq[who])
            t += 0.00013 if who else 0.00004
            n += 1
        if hole is not None:
            t += self.rtt if n - hole[2] > 3 else self.rtt + 0.2
            self.seg(t, who, ACK | PSH, hole[1], seq=hole[0])
            self.seg(t + way, 1 - who, ACK)
            self.unacked[1 - who], self.due[1 - who] = 0, None
        self.t = t
        return t

    def sack(self, at, who, ack, left, right):
        """A duplicate acknowledgement with what came beyond the hole."""
        self.seg(
            at,
            who,
            ACK,
            ack=ack,
            opts=b"\1\1" + struct.pack("!BBII", 5, 10, left & 0xFFFFFFFF, right & 0xFFFFFFFF),
        )

    def done(self):
        """Both sides say what they still owe."""
        for who in (0, 1):
            self.settle(who, self.t + 1)
        return self

    # -------------------------------------------------------- life
    def open(self, at):
        self.seg(at, 0, SYN)
        self.seq[0] += 1
        self.seg(at + self.rtt, 1, SYN | ACK)
        self.seq[1] += 1
        self.seg(at + self.rtt + 0.00005, 0, ACK)
        self.t = at + self.rtt + 0.0001
        return self

    def knock(self, at, times=(0, 1.01, 3.03, 7.1)):
        """SYNs that nobody answers."""
        for n in times:
            self.seg(at + n, 0, SYN)
        self.t = at + times[-1]
        return self

    def refused(self, at, after=None, ttl=None, tries=1):
        for n in range(tries):
            self.seg(at + n, 0, SYN)
            self.seg(
                at + n + (self.rtt if after is None else after),
                1,
                RST | ACK,
                seq=0,
                ack=self.seq[0] + 1,
                ttl=ttl,
            )
        self.t = at + tries - 1 + self.rtt
        return self

    def up(self, data, at=None, **more):
        return self.send(0, data, at, **more)

    def down(self, data, think=0.004, at=None, **more):
        return self.send(1, data, at if at is not None else self.t + self.rtt + think, **more)

    def stall(self, data, at=None, until=None, who=0, tries=6):
        """Data that is never acknowledged: a tail loss probe, then again with 1, 2, 4 ..."""
        at = self.t if at is None else at
        self.settle(who, at)
        self.due[who] = None
        size = self.mss - (12 if self.stamps else 0)
        parts = [data[n : n + size] for n in range(0, len(data), size)]
        for n, part in enumerate(parts):
            last = n == len(parts) - 1
            self.seg(
                at + n * 0.00004,
                who,
                ACK | (PSH if last else 0),
                part,
                seq=self.seq[who] + n * size,
            )
        wait, t = max(0.2, 2 * self.rtt) + 0.01, at
        self.seg(
            t + 2 * self.rtt + 0.002,
            who,
            ACK | PSH,
            parts[-1],
            seq=self.seq[who] + (len(parts) - 1) * size,
        )
        for _ in range(tries):
            t += wait
            if until is not None and t > until:
                break
            self.seg(t, who, ACK | (PSH if len(parts) == 1 else 0), parts[0])
            wait *= 2
        self.seq[who] += len(data)
        self.t = t
        return t

    def probe(self, at, who=0, answered=True):
        """A keep-alive: one number back, no data."""
        self.settle(who, at)
        self.settle(1 - who, at)
        self.seg(at, who, ACK, seq=self.seq[who] - 1)
        if answered:
            self.seg(at + (0.0002 if who else self.rtt), 1 - who, ACK)
        self.t = max(self.t, at)

    def fin(self, at=None, who=0):
        at = self.t if at is None else at
        self.settle(0, at)
        self.settle(1, at)
        self.due = [None, None]
        self.seg(at, who, FIN | ACK)
        self.seq[who] += 1
        back = at + (0.0005 if who else self.rtt)
        self.seg(back, 1 - who, FIN | ACK)
        self.seq[1 - who] += 1
        self.seg(back + (self.rtt if who else 0.0001), who, ACK)
        self.t = back + self.rtt
        return self.t

    def rst(self, at=None, who=0, ttl=None):
        at = self.t if at is None else at
        self.settle(0, at)
        self.settle(1, at)
        self.due = [None, None]
        self.seg(at, who, RST | ACK, ttl=ttl)
        self.t = at
        return at
