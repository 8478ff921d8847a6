"""The comparison in words: one sentence, and a page of text for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from panotui.compare.comparison import Found
from panotui.model.comparison import Comparison, Passage
from panotui.model.quantities import counted

NAMED = 3  # streams in the sentence
ROWS = 40


def sentence(found: Found, names: tuple[str, str]) -> str:
    """The main result: which streams lose packets between the two places, and what is blocked."""
    between = f"between {names[0]} and {names[1]}"
    parts = []
    streams = found.streams
    losing = [p for p in streams if p.lost]
    whole = [p for p in streams if not p.lost]
    if losing:
        told = ", ".join(f"{_name(p)} loses {_share(p)}" for p in losing[:NAMED])
        if len(losing) > NAMED:
            told += f" and {counted(len(losing) - NAMED, 'more stream')} some"
        told += f" {between}"
        if whole:
            told += f"; {_those(whole)} nothing"
        parts.append(told)
    elif streams:
        parts.append(f"no stream loses a packet {between} ({counted(len(streams), 'stream')})")
    elif found.lost:
        parts.append(f"{found.lost:,} of {found.packets:,} packets are lost {between}")
    else:
        parts.append(f"nothing is lost {between}")
    if found.blocked_ways:
        first = found.absent[0]
        to = f"{first.dst}:{first.dport}" if first.dport else first.dst
        others = found.blocked_ways - 1
        more = f" and {counted(others, 'other way')}" if others else ""
        parts.append(
            f"what {first.src} sends to {to}{more} is seen at {names[first.seen_at == 'b']} and "
            f"never at {names[first.seen_at == 'a']}: something between them blocks it"
        )
    text = ". ".join(part[0].upper() + part[1:] if i else part for i, part in enumerate(parts))
    return text + "."


def _those(whole: Sequence[Passage]) -> str:
    names = list(dict.fromkeys(_name(p) for p in whole))
    if len(names) <= NAMED:
        return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
    return f"the other {len(names)}"


def _name(passage: Passage) -> str:
    name = passage.camera or f"{passage.src}:{passage.sport}"
    if passage.media not in (None, "video"):
        name += f" ({passage.media})"
    return name


def _share(passage: Passage) -> str:
    if passage.transport == "tcp":
        lost = f"{counted(passage.lost, 'segment')} of {passage.packets:,}"
        return f"{lost} ({counted(passage.lost_bytes, 'byte')})" if passage.lost_bytes else lost
    percent = 100 * passage.loss
    digits = 1 if percent >= 0.1 else 3
    return f"{percent:.{digits}f} % ({passage.lost:,} of {passage.packets:,} packets)"


def page(found: Comparison) -> str:
    """The text of the command, without colour: a sentence, then tables."""
    names = {"a": found.a.name, "b": found.b.name}
    lines = [found.sentence[0].upper() + found.sentence[1:], ""]
    for side in (found.a, found.b):
        lines.append(
            f"{side.name}: {side.file}, {side.packets:,} packets, "
            f"{side.matched:,} of them also at the other place"
        )
    lines.append(clock_line(found))
    lines += [f"Note: {note}" for note in found.notes]
    for title, rows, total in (
        ("STREAMS", found.streams, len(found.streams)),
        ("FLOWS", found.flows, found.flows_total),
    ):
        if rows:
            lines += ["", title, _HEAD]
            lines += [_row(p, names) for p in rows[:ROWS]]
            if total > ROWS:
                lines.append(f"({total - ROWS:,} more; --json has them)")
    if found.absent:
        lines += ["", "ONLY AT ONE PLACE"]
        for p in found.absent[:ROWS]:
            word = "blocked" if p.blocked else "not seen to head for the other place"
            ends = f"{p.transport} {p.src}:{p.sport} > {p.dst}:{p.dport}"
            seen = f"{counted(p.packets, 'packet')}, the first is {p.first_packet}"
            lines.append(f"  {ends}  only at {names[p.seen_at]}: {seen} ({word})")
        if found.absent_total > ROWS:
            lines.append(f"({found.absent_total - ROWS:,} more; --json has them)")
    return "\n".join(lines) + "\n"


_HEAD = (
    f"  {'':<44} {'packets':>9} {'lost':>7} {'share':>8} {'reord':>6} {'dup':>5} "
    f"{'delay':>8} {'p99':>8} {'ipdv':>7}"
)


def _row(p: Passage, names: dict[str, str]) -> str:
    where = _name(p) if p.ssrc else f"{p.transport} {p.src}:{p.sport} > {p.dst}:{p.dport}"
    if p.ssrc:
        where += f" {p.codec or ''} {p.transport}, {names[p.first_seen_at]} first"
    delay = ("", "", "")
    if p.delay is not None:
        delay = (f"{p.delay.median_ms:.2f}", f"{p.delay.p99_ms:.2f}", f"{p.delay.ipdv_ms:.2f}")
    line = (
        f"  {where:<44} {p.packets:>9,} {p.lost:>7,} {100 * p.loss:>7.3f}% {p.reordered:>6,} "
        f"{p.duplicated:>5,} {delay[0]:>8} {delay[1]:>8} {delay[2]:>7}"
    )
    if p.changes:
        line += "\n      " + ", ".join(f"{c.field} {c.before} > {c.after}" for c in p.changes)
    return line


def clock_line(found: Comparison) -> str:
    """The offset of the clocks, in words."""
    clock = found.clock
    side = "ahead of" if clock.offset_s >= 0 else "behind"
    line = (
        f"Clocks: {found.b.name} is {abs(clock.offset_s):.6f} s {side} {found.a.name}, "
        f"drift {clock.drift_ppm:+.1f} ppm"
    )
    if clock.uncertainty_s is not None:
        return f"{line}, known to {1000 * clock.uncertainty_s:.3f} ms"
    return f"{line}; all traffic goes one way, so the least delay counts as 0"
