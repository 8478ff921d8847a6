"""Numbers of capture interfaces: each meter counts from 0, the engine has one table of all."""

from __future__ import annotations

import msgspec

from panotui.model import Delta, NeighbourMessage

INTERFACES_A_METER = 64


def numbered(delta: Delta, known: tuple[str, ...]) -> tuple[str, ...]:
    """The names of the capture interfaces of all meters, `known` being those so far; changes the
    numbers in the delta. Each meter has a range, unless the caller has numbered them together.
    """
    if delta.shared_interfaces:
        if len(delta.interfaces) != len(known):
            return tuple(i.name for i in delta.interfaces)
        return known
    names = [i.name for i in delta.interfaces][:INTERFACES_A_METER]
    base = delta.meter * INTERFACES_A_METER
    if names:
        table = list(known)
        table += [""] * (base + len(names) - len(table))
        table[base : base + len(names)] = names
        known = tuple(table)
    if not base:
        return known
    delta.flows, delta.streams = delta.flows.copy(), delta.streams.copy()
    delta.link_seconds = delta.link_seconds.copy()
    for column in (
        delta.flows["interface_out"],
        delta.flows["interface_in"],
        delta.link_seconds["interface"],
        delta.streams["interface"],
    ):
        column[column >= 0] += base
    delta.messages = [
        msgspec.structs.replace(m, interface=m.interface + base)
        if isinstance(m, NeighbourMessage) and m.interface >= 0
        else m
        for m in delta.messages
    ]
    return known
