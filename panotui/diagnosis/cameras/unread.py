"""What arrives at the port that a reader asked for, and is no RTP: stream-codec."""

from __future__ import annotations

import ipaddress

import numpy as np

from panotui.diagnosis.cameras.words import about, subject_of
from panotui.diagnosis.facts import Facts, Observation, evidence
from panotui.diagnosis.thresholds import thresholds
from panotui.model import I64, Bool
from panotui.model.flow_rows import FlowRow
from panotui.model.quantities import counted
from panotui.state.camera import Camera
from panotui.state.camera_session import Session
from panotui.wire.protocols import UDP

LIMITS = thresholds().cameras.media


def unread(camera: Camera, session: Session, facts: Facts) -> Observation | None:
    """Packets of the camera at the session's ports that are no media to anybody; None: none."""
    ports = [track.asked[0] for track in session.udp_tracks if track.asked and not track.optional]
    found = [
        (row, port) for port in ports for row in _flows(camera.address, session.client, port, facts)
    ]
    found = [
        (row, port)
        for row, port in found
        if row.last_ns > session.play_ns and _sent(row, port) >= LIMITS.unread_packets
    ]
    if not found:
        return None
    row, port = max(found, key=lambda one: _sent(*one))
    packets = counted(_sent(row, port), "packet")
    return Observation(
        "stream-codec", subject_of(camera), {**about(camera), "client": session.client},
        (
            evidence(session.play_ns, session.play_packet, "200 to PLAY"),
            evidence(row.last_ns, row.last_packet, f"the newest packet to port {port}: no RTP"),
        ),
        session.play_ns, row.last_ns,
        text=f"Camera {camera.name} has answered PLAY, and what it sends to port {port} is no "
             f"RTP: {packets}, and no picture",
        action=f"Set {camera.name} to plain RTP with H.264, choose another profile there, or "
               "update its firmware",
        camera=camera.address,
    )  # fmt: skip


def _sent(row: FlowRow, port: int) -> int:
    """Packets to the reader's port; it may have spoken first."""
    return row.packets_out if row.dport == port else row.packets_in


def _flows(camera: str, client: str, port: int, facts: Facts) -> list[FlowRow]:
    rows, live = facts.flows.rows, facts.flows.live
    some = np.flatnonzero(live & (rows.column("protocol") == UDP))
    here = (rows.column("dport")[some] == port) | (rows.column("sport")[some] == port)
    some = some[here]
    ways = _is(rows.column("src")[some], camera) & _is(rows.column("dst")[some], client)
    back = _is(rows.column("src")[some], client) & _is(rows.column("dst")[some], camera)
    ways &= rows.column("dport")[some] == port
    back &= rows.column("sport")[some] == port
    at: I64 = some[ways | back]
    return [facts.flows.rows[int(slot)] for slot in at[:8].tolist()]


def _is(column: np.ndarray, address: str) -> Bool:
    raw = np.zeros(16, np.uint8)
    packed = ipaddress.ip_address(address).packed
    raw[: len(packed)] = np.frombuffer(packed, np.uint8)
    same: Bool = (column == raw).all(axis=1)
    return same
