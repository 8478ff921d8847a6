"""Cameras whose payload type, or description, says another codec than what they send."""

from __future__ import annotations

from tests.diagnosis.camera_maker import Film, Reader, description, media_line
from tests.diagnosis.met.begun_before import PLAYED, begins
from tests.diagnosis.met.clothes import RECORDER, RECORDER_MAC
from tests.diagnosis.met.truth import Truth, scene
from tests.diagnosis.wire import Wire

MJPEG = description("m=video 0 RTP/AVP 26\r\na=control:track1\r\n")


def amid(wire: Wire, kind: int, codec: str = "H264") -> None:
    """A capture that begins while pictures come under this number."""
    Reader(wire).start(0.2).film(0.6, 20, Film(codec, kind, gop=1 if codec == "JPEG" else 25))
    begins(wire, 3)


@scene
def pictures_amid_a_capture_as_type_33(wire: Wire) -> Truth:
    """RFC 3551 gives 33 to MPEG transport streams; these are H.264."""
    amid(wire, 33)
    return Truth(streams=PLAYED)


@scene
def pictures_amid_a_capture_as_type_0(wire: Wire) -> Truth:
    amid(wire, 0)
    return Truth(streams=PLAYED)


@scene
def pictures_amid_a_capture_as_type_35(wire: Wire) -> Truth:
    """A number that nobody has assigned; reports go to the camera, and are no violation."""
    amid(wire, 35)
    return Truth(streams=PLAYED)


@scene
def pictures_amid_a_capture_as_type_77(wire: Wire) -> Truth:
    """A number whose marked packets look like RTCP."""
    amid(wire, 77)
    return Truth(streams=PLAYED)


@scene
def pictures_amid_a_capture_are_h265_as_type_34(wire: Wire) -> Truth:
    amid(wire, 34, "H265")
    return Truth(("stream-codec",), streams=PLAYED, says={"stream-codec": "only H.265"})


@scene
def pictures_amid_a_capture_are_jpeg_as_type_26(wire: Wire) -> Truth:
    amid(wire, 26, "JPEG")
    return Truth(("stream-codec",), says={"stream-codec": "only MJPEG"})


@scene
def jpeg_is_described_and_h264_sent(wire: Wire) -> Truth:
    """The reader believes the description, and so shows nothing."""
    Reader(wire).start(0.2, MJPEG).film(0.6, 20, Film(payload=26))
    return Truth(("stream-codec",), streams=PLAYED)


@scene
def h264_is_described_and_h265_sent(wire: Wire) -> Truth:
    Reader(wire).start(0.2).film(0.6, 20, Film("H265"))
    return Truth(("stream-codec",), streams=PLAYED,
                 says={"stream-codec": "describes H.264 and sends H.265"})  # fmt: skip


@scene
def h264_is_described_and_h265_sent_inside_tcp(wire: Wire) -> Truth:
    Reader(wire).start(0.2, channel=0).film(0.6, 20, Film("H265"), channel=0)
    return Truth(("stream-codec",), streams=PLAYED)


@scene
def h264_is_described_and_h265_sent_to_a_recorder(wire: Wire) -> Truth:
    """The appliance has its picture; what another reader gets is no trouble of its own."""
    Reader(wire).start(0.2).film(0.6, 20)
    other = Reader(wire, 52_000, client=RECORDER, client_mac=RECORDER_MAC, agent="NVR")
    other.start(0.3, description(media_line(control="track1")), ports=7000)
    other.film(0.7, 20, Film("H265", ssrc=0x88), port=7000)
    return Truth(streams=PLAYED, allowed=("stream-multi-reader",))
