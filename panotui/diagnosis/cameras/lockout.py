"""rtsp-lockout, and the words of rtsp-auth for a password that the camera accepted before.

Three steps show that a camera has locked its reader out after wrong passwords: its port refuses, it
cuts the connection in place of an answer, or it answers 403. The sentence names the cause: whose
password was refused, and that it was accepted before.
"""

from __future__ import annotations

from panotui.diagnosis.cameras.words import about, anchor_of, reader_name, subject_of
from panotui.diagnosis.facts import Facts, Observation, clock_text
from panotui.model import EvidenceRecord
from panotui.model.quantities import times
from panotui.state.camera import Camera


def lockout(
    camera: Camera,
    client: str,
    how: str,
    since_ns: int,
    seen: tuple[EvidenceRecord, ...],
    facts: Facts,
    covers: tuple[str, ...] = (),
    port_closed: bool = False,
) -> Observation | None:
    """`client` is turned away (`how`) after wrong passwords; None if there were none. Where even
    its SYN is refused (`port_closed`), only its own wrong passwords count.
    """
    explained = camera.refusals.closed_to if port_closed else camera.refusals.locked_by
    found = explained(client, since_ns)
    if found is None:
        return None
    whose, wrong = found
    took_ns = camera.refusals.took.get(whose, 0)
    text = action = None
    if whose != client:
        text = (
            f"Camera {camera.name} turns {reader_name(client, facts)} away ({how}), after it "
            f"refused the password of {whose} {wrong.times} times: it may have locked the account"
        )
        action = (
            f"Correct the password of {camera.name} in {whose}, or stop it; then wait or unlock "
            "the account on the camera"
        )
    elif took_ns:
        text = (
            f"The password of camera {camera.name} was changed: it still accepted the old one at "
            f"{clock_text(took_ns)}, has refused it {times(wrong.times)} since "
            f"{clock_text(wrong.first_ns)}, and now locks its reader out ({how})"
        )
    return Observation(
        "rtsp-lockout", subject_of(camera),
        {**about(camera), "detail": how, "count": str(wrong.times),
         "passwords": "password" if wrong.times == 1 else "passwords"},
        (*wrong.seen, *seen), min(since_ns, wrong.first_ns),
        seen[-1].time_ns if seen else since_ns,
        detail=(f"its reader is {reader_name(client, facts)}",),
        text=text, action=action, camera=camera.address, covers=covers,
        replaces=(f"rtsp-auth|{anchor_of(camera)}",),
    )  # fmt: skip


def changed(camera: Camera, client: str, count: int) -> tuple[str, str] | None:
    """Sentence and action for a refused password that was accepted before; else None."""
    took_ns = camera.refusals.took.get(client, 0)
    if not took_ns:
        return None
    return (
        f"Camera {camera.name} refuses the password that it still accepted at "
        f"{clock_text(took_ns)} (refused {times(count)} since): it was changed",
        f"Enter the new password of {camera.name} where its stream is set up; the camera may lock "
        "the account after more tries",
    )
