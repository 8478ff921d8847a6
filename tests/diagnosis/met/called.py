"""What a camera is called where no site file names it: one name, everywhere."""

from __future__ import annotations

from tests.diagnosis.camera_maker import Film, Reader, description, media_line
from tests.diagnosis.met.truth import Truth, scene
from tests.diagnosis.wire import CAMERA_MAC, EVERYBODY, Wire, dhcp_packet, dns_packet
from tests.made_up import CAMERA

YARD = "10.20.0.12"
DAHUA, AXIS = "3c:ef:8c:00:01:11", "00:40:8c:00:01:12"
PLAYED = {0x5EED0001: {"lost": 0, "fps": 25.0}}


def titled(wire: Wire, title: str, mac: str = CAMERA_MAC, address: str = CAMERA, number: int = 0,
           lose: bool = False, at: float = 0.2) -> None:  # fmt: skip
    """A picture whose SDP bears a title; one packet in twenty lost, if so wished."""
    reader = Reader(wire, 40_000 + number, address=address, mac=mac)
    ports = 6000 + 10 * number
    reader.start(at, description(media_line(), title=title), ports=ports)
    film = Film(ssrc=0x5EED0001 + number)
    reader.film(at + 0.4, at + 16, film, port=ports, lose=lambda n: lose and n % 20 == 3)


def probe_match(wire: Wire, at: float, name: str, hardware: str, mac: str = CAMERA_MAC,
                address: str = CAMERA) -> None:  # fmt: skip
    body = (
        "<?xml version='1.0'?><e:Envelope><e:Body><d:ProbeMatches><d:ProbeMatch><d:Scopes>"
        "onvif://www.onvif.org/Profile/Streaming onvif://www.onvif.org/type/video_encoder "
        f"onvif://www.onvif.org/name/{name} onvif://www.onvif.org/hardware/{hardware}"
        f"</d:Scopes><d:XAddrs>http://{address}/onvif/device_service</d:XAddrs>"
    )
    wire.udp(at, (mac, address, 3702), ("02:00:00:00:08:88", "10.20.0.88", 50_000), body.encode())


def leased(wire: Wire, at: float, host: str, mac: str, address: str) -> None:
    option = bytes([12, len(host)]) + host.encode()
    wanted = b"\x32\x04" + bytes(int(part) for part in address.split("."))
    wire.udp(at, (mac, "0.0.0.0", 68), (EVERYBODY, "255.255.255.255", 67),
             dhcp_packet(3, mac, options=option + wanted))  # fmt: skip


def announced(wire: Wire, at: float, host: str, mac: str = CAMERA_MAC,
              address: str = CAMERA) -> None:  # fmt: skip
    wire.udp(at, (mac, address, 5353), ("01:00:5e:00:00:fb", "224.0.0.251", 5353),
             dns_packet(0, host, address, answer=True))  # fmt: skip


@scene
def called_by_its_onvif_name(wire: Wire) -> Truth:
    titled(wire, "Media Presentation", lose=True)
    probe_match(wire, 2, "Loading%20bay", "DS-2CD2143")
    return Truth(("stream-loss",), state="losing", names={CAMERA: "Loading bay"})


@scene
def called_by_the_name_of_its_lease(wire: Wire) -> Truth:
    leased(wire, 0.05, "ipc-gate", CAMERA_MAC, CAMERA)
    titled(wire, "RTSP Session", lose=True)
    return Truth(("stream-loss",), state="losing", names={CAMERA: "ipc-gate"})


@scene
def called_by_its_name_in_mdns(wire: Wire) -> Truth:
    announced(wire, 0.05, "axis-b8a44f12.local")
    titled(wire, "Session streamed with GStreamer", lose=True)
    return Truth(("stream-loss",), state="losing", names={CAMERA: "axis-b8a44f12"})


@scene
def called_by_maker_and_last_part(wire: Wire) -> Truth:
    """Two cameras that say nothing of themselves but `Media Server` and `streamed by ...`."""
    titled(wire, "Media Server", DAHUA, lose=True)
    titled(wire, 'Session streamed by "TP-LINK RTSP Server"', AXIS, YARD, 1)
    return Truth(("stream-loss",), state="losing",
                 names={CAMERA: "Dahua .11", YARD: "Axis .12"})  # fmt: skip


@scene
def called_by_the_title_of_its_stream(wire: Wire) -> Truth:
    titled(wire, "Front door", lose=True)
    return Truth(("stream-loss",), state="losing", names={CAMERA: "Front door"})


@scene
def called_better_once_more_is_heard(wire: Wire) -> Truth:
    """First a title, then mDNS, a lease, and at last ONVIF: the last is the best."""
    titled(wire, "Ch 1 main", lose=True)
    announced(wire, 4, "ipc4711.local")
    leased(wire, 6, "bay-cam", CAMERA_MAC, CAMERA)
    probe_match(wire, 9, "Bay%203", "IPC-HFW1230")
    announced(wire, 12, "ipc4711.local")
    return Truth(("stream-loss",), state="losing", names={CAMERA: "Bay 3"})


@scene
def two_cameras_with_the_name_of_their_maker(wire: Wire) -> Truth:
    """Both leases say `IPC`: the second has its address beside it."""
    leased(wire, 0.02, "IPC", CAMERA_MAC, CAMERA)
    leased(wire, 0.05, "IPC", "02:00:00:00:01:12", YARD)
    titled(wire, "-", at=0.2)
    titled(wire, "-", "02:00:00:00:01:12", YARD, 1, lose=True, at=0.3)
    return Truth(("stream-loss",), state="streaming", states={YARD: "losing"},
                 names={CAMERA: "IPC", YARD: f"IPC {YARD}"})  # fmt: skip


@scene
def factory_names_of_onvif_name_nothing(wire: Wire) -> Truth:
    """Every camera of the maker is `IPCAM` in ONVIF, and has a lease of its own."""
    leased(wire, 0.02, "cam-north", CAMERA_MAC, CAMERA)
    titled(wire, "streamed by the macro-video rtsp server", lose=True)
    probe_match(wire, 3, "IPCAM", "IPCAM")
    return Truth(("stream-loss",), state="losing", names={CAMERA: "cam-north"})
