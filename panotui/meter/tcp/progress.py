"""Checks that TCP segments merely continue: each starts where its direction's last one ended,
acknowledges nothing unseen, repeats nothing, and closes no window.

Segments and the flow table's columns come in; all segments that do not merely continue go out.
Nothing is written.
"""

from __future__ import annotations

import numpy as np

from panotui.meter.flows.state import ACK, FIN, RST, SYN, FlowState
from panotui.meter.tcp.segments import Segments
from panotui.model import I64, Bool
from panotui.model.arrays import nonzero

SFR = SYN | FIN | RST
OF_SYN = 1 << 16  # in `FlowState.window`: from a SYN, not scaled
WINDOW = OF_SYN - 1
NO_SCALE = -2  # `window_shift` of a SYN without the option


def odd(flows: FlowState, s: Segments) -> Bool:
    """(m,) segments that are not plain progress after those before them."""
    pure = (s.flags & SFR) == 0
    own, peer = s.own, s.peer
    known_own, known_peer = own >= 0, peer >= 0
    next_seq, acked = flows.next_seq.reshape(-1), flows.last_ack.reshape(-1)
    opened = flows.tcp_open.reshape(-1)

    expected, last_ack = s.end.take(own, mode="wrap"), s.ack.take(own, mode="wrap")
    lone = nonzero(own < 0)
    key = s.key.take(lone)
    expected[lone], last_ack[lone] = next_seq.take(key), acked.take(key)
    known_own[lone] = opened.take(key)
    peer_end, peer_ack = s.end.take(peer, mode="wrap"), s.ack.take(peer, mode="wrap")
    peer_window = s.window.take(peer, mode="wrap")
    lone = nonzero(peer < 0)
    key = s.key.take(lone) ^ 1
    peer_end[lone], peer_ack[lone] = next_seq.take(key), acked.take(key)
    peer_window[lone] = flows.window.reshape(-1).take(key) & WINDOW
    known_peer[lone] = opened.take(key)

    data = s.length > 0
    bad: Bool = s.seq != expected
    bad |= ~data & pure & (s.ack == last_ack)
    bad &= known_own
    bad |= (s.window == 0) & pure
    of_peer = (s.flags & ACK) != 0
    of_peer &= (s.ack - peer_end).view(np.int32) > 0
    to_peer = (s.end - peer_ack).view(np.int32) <= 0
    to_peer |= (peer_window == 0) & (s.length == 1)
    shift = shift_of(flows, s)
    scaled = (peer_window << np.maximum(shift, 0)).astype(np.uint32)
    to_peer |= (shift >= 0) & (s.end == peer_ack + scaled)
    of_peer |= data & to_peer
    bad |= of_peer & known_peer
    return bad


def unsettled(flows: FlowState, s: Segments) -> Bool:
    """(g,) groups in which something from before is still open."""
    open_hole = flows.to_be_acked.take(s.slots, axis=0) != flows.next_seq.take(s.slots, axis=0)
    open_hole |= flows.last_kind.take(s.slots, axis=0) != 0
    open_hole |= flows.dup_ack_run.take(s.slots, axis=0) != 0
    either: Bool = open_hole[:, 0] | open_hole[:, 1] | flows.holes.take(s.slots)
    return either


def shift_of(flows: FlowState, s: Segments) -> I64:
    """(m,) shift of the peer's window by tshark's rules; -1 unknown."""
    shifts = flows.window_shift.take(s.slots, axis=0).astype(np.int64)
    absent = shifts == NO_SCALE
    if absent.any():
        shifts[absent[:, 0] | absent[:, 1]] = 0  # both have to request it
    shift: I64 = shifts.reshape(-1).take(s.group * 2 + (1 - s.side))
    # the window of a SYN is not scaled
    of_syn = (s.flags & SYN).take(s.peer, mode="wrap") != 0
    lone = nonzero(s.peer < 0)
    of_syn[lone] = flows.window.reshape(-1).take(s.key.take(lone) ^ 1) >= OF_SYN
    shift[nonzero(of_syn & (shift > 0))] = 0
    return shift
