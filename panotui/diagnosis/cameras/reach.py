"""Whether a camera can be reached: next hop, SYN. camera-unreachable, camera-refused."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from panotui.diagnosis.cameras.lockout import lockout
from panotui.diagnosis.cameras.words import about, anchor_of, subject_of
from panotui.diagnosis.facts import LIMITS as COMMON_LIMITS
from panotui.diagnosis.facts import Facts, Observation, Rule, evidence
from panotui.diagnosis.sight import macs_of
from panotui.diagnosis.thresholds import thresholds
from panotui.model import SECOND, Confidence, EvidenceRecord, IcmpMessage
from panotui.model.quantities import counted
from panotui.state.camera import Camera
from panotui.state.camera_session import Session
from panotui.state.camera_state import LIMITS as CAMERA_STATE_LIMITS
from panotui.state.claims import Question, Seen
from panotui.state.connects import icmp_meaning, recent
from panotui.state.ladder import syns
from panotui.state.streams import LIMITS as STREAM_LIMITS

# Codes of "unreachable" by IP version. The router knows the network, and not the host:
_HOST_AWAY = {4: (1, 7), 6: (3,)}
_PROHIBITED = {4: (9, 10, 13), 6: (1, 5, 6)}  # administratively
LIMITS = thresholds().cameras.reach
_HOME = {False: 24, True: 64}  # bits of a network, where no mask is known
_FROZEN_NS = int(STREAM_LIMITS.frozen_s * SECOND)


class ReachRule(Rule):
    """See the module."""

    of_cameras = True

    def tick(self, facts: Facts) -> list[Observation]:
        out: list[Observation] = []
        for camera in facts.cameras.cameras.values():
            out.extend(_silent(camera, facts))
            out.extend(_refused(camera, facts))
        return out


def _silent(camera: Camera, facts: Facts) -> Iterable[Observation]:
    if not camera.arp_silent_ns and camera.syn_unanswered < CAMERA_STATE_LIMITS.unanswered_syns:
        return
    now = facts.now_ns
    values = about(camera)
    since = camera.arp_silent_ns or camera.syn_first_ns
    others = [
        c.name
        for c in facts.cameras.cameras.values()
        if c is not camera
        and (worked := max(c.media_ns, c.connected_ns)) >= since
        and recent(worked, now, LIMITS.control_s)
    ]
    detail = tuple(f"control: camera {o} answers" for o in others[:2])
    sureness: Confidence = "likely" if others else "possible"
    if camera.arp_silent_ns and camera.media_ns < camera.arp_silent_ns:
        if camera.mac and (moved := facts.claims.moved_to(camera.mac, camera.address, since)):
            yield _elsewhere(camera, *moved, detail, facts)
            return
        since, seen = _begins(camera, camera.arp_silent_ns, "ARP, no answer")
        yield Observation(
            "camera-unreachable", subject_of(camera),
            {**values, "detail": "ARP for it goes unanswered"},
            seen, since, now, "certain" if others else "likely",
            detail=(*detail, "it is off, unplugged or in another VLAN"),
            camera=camera.address,
        )  # fmt: skip
    elif camera.syn_unanswered >= CAMERA_STATE_LIMITS.unanswered_syns and recent(
        camera.syn_last_ns, now, COMMON_LIMITS.stale_s
    ):
        unanswered = f"{syns(camera.syn_unanswered)} unanswered"
        since, seen = _begins(camera, camera.syn_first_ns, "SYN, no answer")
        action: str | None = None
        message = _said_by_router(camera, facts)
        if message is not None:
            said = f"{message.src} says {icmp_meaning(message)}"
            unanswered = f"{unanswered}, and {said}"
            seen = (*seen, evidence(message.time_ns, message.packet, f"ICMP: {said}"))
            action = _on_the_way(camera, message)
        elif (gate := _asks_in_vain(camera, facts)) is not None:
            said = f"the camera asks by ARP for {gate.target}, and nobody answers"
            seen = (*seen, *(evidence(s.time_ns, s.packet, s.text) for s in list(gate.seen)[:2]))
            detail = (*detail, said)
            action = (
                f"Correct the gateway in the settings of {camera.name}: it asks for {gate.target},"
                " and nobody has that address"
            )
        elif _is_up(camera, since, facts):
            detail = (*detail, "it answers ARP: it has power and is in the right VLAN")
            action = (
                f"Check that RTSP is on in {camera.name}, and that neither its own address filter"
                " nor a firewall keeps the appliance out"
            )
        yield Observation(
            "camera-unreachable", subject_of(camera), {**values, "detail": unanswered}, seen,
            since, camera.syn_last_ns, sureness, detail=detail, action=action,
            camera=camera.address,
        )  # fmt: skip


def _is_up(camera: Camera, since_ns: int, facts: Facts) -> bool:
    """It has answered ARP since its connections are not answered."""
    owner = facts.claims.owner(camera.address)
    claim = facts.claims.claims(camera.address, owner) if owner else None
    return claim is not None and claim.asked > 0 and claim.last.time_ns >= since_ns


def _asks_in_vain(camera: Camera, facts: Facts) -> Question | None:
    """The host by which a camera would answer a reader of another network, and that nobody is: its
    gateway."""
    home = ipaddress.ip_interface(f"{camera.address}/{_HOME[':' in camera.address]}").network
    readers = {t.client for t in facts.connects.ours() if t.server == camera.address}
    if all(ipaddress.ip_address(r) in home or _beside(r, camera, facts) for r in readers):
        return None
    return next(
        (
            q
            for q in facts.claims.questions.values()
            if q.asker == camera.address
            and q.count >= CAMERA_STATE_LIMITS.unanswered_syns
            and q.last_ns >= camera.syn_first_ns
            and ipaddress.ip_address(q.target) in home
        ),
        None,
    )


def _beside(reader: str, camera: Camera, facts: Facts) -> bool:
    """A reader sends its frames straight to the camera: no router is between, and no gateway of the
    camera matters, whatever their masks.
    """
    mine, theirs = set(macs_of(reader, facts)), set(macs_of(camera.address, facts))
    return any(
        src in mine and dst in theirs
        for at in facts.visibility.interfaces.values()
        for src, dst in at.pairs
    )


def _begins(camera: Camera, asked_ns: int, what: str) -> tuple[int, tuple[EvidenceRecord, ...]]:
    """Since when the camera has been silent, and what shows it; `asked_ns`: the first request that
    got no answer. The appliance waits for media before it asks again: that wait is part of it."""
    asked = evidence(asked_ns, camera.syn_packet, what)
    last = camera.media_ns
    was_read = any(
        0 < _played_ns(s) <= last
        and not any(0 < t <= last + _FROZEN_NS for t in (s.let_go_ns, s.torn_down_ns, s.ended_ns))
        for s in camera.sessions.values()
    )
    if not was_read or not camera.connected_ns <= last <= asked_ns <= last + LIMITS.waits_ns:
        return asked_ns, (asked,)
    return last, (evidence(last, 0, "its last media packet"), asked)


def _played_ns(session: Session) -> int:
    """When it is known to play; of one from before the capture only keep-alives are answered."""
    whole = session.described is not None or bool(session.set_up)
    return session.play_ns or (0 if whole else session.answered_ns)


def _said_by_router(camera: Camera, facts: Facts) -> IcmpMessage | None:
    """What a router on the way says of the camera, to the appliance."""
    return next(
        (
            t.icmp
            for t in facts.connects.ours()
            if t.server == camera.address and t.icmp is not None and t.icmp.src != camera.address
        ),
        None,
    )


def _on_the_way(camera: Camera, message: IcmpMessage) -> str:
    """Whom to ask where a router says why."""
    if message.code in _HOST_AWAY.get(message.version, ()):
        return (
            f"Check the camera's power (PoE) and its address {camera.address} in the network"
            f" behind {message.src}"
        )
    if message.code in _PROHIBITED.get(message.version, ()):
        return (
            f"Ask the owner of {message.src} to let the appliance reach {camera.address}: a rule"
            " of that router forbids it"
        )
    return f"Ask the owner of {message.src} for its route to {camera.address}: it has none"


def _elsewhere(
    camera: Camera, address: str, said: Seen, detail: tuple[str, ...], facts: Facts
) -> Observation:
    """Its device is heard, by its MAC, at another address than the one that it is read at."""
    if ipaddress.ip_address(address).is_link_local:
        where = f"got no address from DHCP and is at {address} now"
        action = f"Find out why the DHCP server gives camera {camera.name} no address"
    else:
        where = f"is at {address} now"
        action = f"Give camera {camera.name} its old address back (a DHCP reservation)"
    return Observation(
        "camera-unreachable", subject_of(camera), {**about(camera), "detail": ""},
        (
            evidence(camera.arp_silent_ns, camera.syn_packet, "ARP, no answer"),
            evidence(said.time_ns, said.packet, said.text),
        ),
        camera.arp_silent_ns, facts.now_ns, "likely", detail=detail,
        text=f"Camera {camera.name} does not answer at {camera.address}: its device {camera.mac}"
        f" {where}, and the appliance still asks for {camera.address}",
        action=f"{action}, or enter the new address in the application and the site file",
        camera=camera.address, covers=(f"camera-reboot|{anchor_of(camera)}",),
    )  # fmt: skip


def _refused(camera: Camera, facts: Facts) -> Iterable[Observation]:
    if not camera.resets or camera.reset_ns <= camera.connected_ns:
        return
    if not recent(camera.reset_ns, facts.now_ns, COMMON_LIMITS.stale_s):
        return
    seen = (evidence(camera.reset_ns, camera.reset_packet, "RST to SYN"),)
    how = "it now refuses connections"
    locked = lockout(
        camera, camera.reset_client, how, camera.reset_first_ns, seen, facts, port_closed=True
    )
    if locked is not None:
        yield locked
        return
    yield Observation(
        "camera-refused", subject_of(camera), {**about(camera), "dport": str(camera.reset_port)},
        seen, camera.reset_ns, camera.reset_ns,
        detail=(
            counted(camera.resets, "attempt"),
            'the appliance logs "Connection to server failed: Connection timed out (-115)"',
        ),
        camera=camera.address,
    )  # fmt: skip
