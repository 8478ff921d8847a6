"""Where the capture stands: what it cannot show is not told as a fault."""

from __future__ import annotations

from tests.diagnosis.wire import Rtsp
from tests.made_up import START
from tests.situations.endpoints import one_endpoint_is_dropped_and_others_work, others_work
from tests.situations.fates import dies, internet_dies_and_two_endpoints_are_tried
from tests.situations.situation import situation
from tests.situations.town import (
    ETH1,
    LOGS,
    METRICS,
    PC,
    ROUTER,
    S3,
    Town,
    arp_packet,
    nobody,
)


def _mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def keep(town: Town, wanted: object) -> Town:
    """Only the frames that pass here."""
    town.frames = [f for f in town.frames if wanted(f[2])]  # type: ignore[operator]
    return town


def spread(frame: bytes) -> bool:
    return bool(frame[0] & 1)


def healthy(end: float = 80) -> Town:
    town = Town()
    town.lives(end)
    others_work(town, 12, end - 10)
    town.mqtt(6, end)
    return town


@situation("mirror-one-way")
def mirror_shows_only_what_the_port_gets() -> Town:
    """All is well; of the cloud port only what goes to it is copied."""
    return keep(healthy(), lambda f: f[6:12] != _mac(ETH1))


@situation("mirror-one-way")
def mirror_shows_only_what_the_port_sends() -> Town:
    """All is well; of the cloud port only what it sends is copied."""
    return keep(healthy(), lambda f: f[:6] != _mac(ETH1))


@situation("mirror-one-way")
def one_way_mirror_and_an_endpoint_is_dropped() -> Town:
    """What is dropped cannot be told from what is not copied."""
    return keep(one_endpoint_is_dropped_and_others_work(), lambda f: f[:6] != _mac(ETH1))


@situation("mirror-one-way", violations=1)
def one_way_mirror_and_a_hello_without_a_name() -> Town:
    """Only what the cloud port sends is copied. Its ClientHello to an address that nobody asked for
    passes here whole, and names no host: no better evidence will come."""
    town = healthy()
    conn = town.to("", address="198.51.100.9")
    conn.open(20)
    conn.hello(20.05, None, thirteen=True)
    conn.data(20.2)
    return keep(town, lambda f: f[:6] != _mac(ETH1))


@situation("mirror-one-way", site=nobody)
def one_way_mirror_without_a_site_file() -> Town:
    """As before, and nobody says who the appliance is."""
    return keep(healthy(), lambda f: f[:6] != _mac(ETH1))


@situation()
def only_the_camera_port_is_mirrored() -> Town:
    """A healthy camera; of the cloud port only its broadcasts pass here."""
    town = Town()
    Rtsp(town).play(1).media(1.5, 40)
    for n in range(8):
        town.arp(2 + 5 * n, town.port, ROUTER[1])
        town.arp(3 + 5 * n, ("02:00:00:00:00:10", "10.20.0.5"), "10.20.0.11", "02:00:00:00:01:11")
    return town


@situation("capture-snapped", proved=False)
def healthy_site_cut_at_64_bytes() -> Town:
    """Each frame is cut at 64 bytes; names are not to be read."""
    return cut(healthy(), 64)


@situation("capture-snapped", "tcp-blocked", proved=False, violations=None)
def blocked_endpoint_cut_at_64_bytes() -> Town:
    """SYNs fit into 64 bytes: the dropped address shows all the same."""
    return cut(one_endpoint_is_dropped_and_others_work(), 64)


def cut(town: Town, size: int) -> Town:
    town.frames = [(t, i, f[:size], len(f)) for t, i, f, _ in town.frames]
    return town


@situation("not-a-mirror")
def plain_port_and_the_gateway_is_asked_for() -> Town:
    """Only broadcasts: the appliance asks for the gateway ten times, answers go elsewhere."""
    town = healthy()
    for n in range(20):
        town.add(10 + 3 * n, arp_packet(1, ETH1, "192.168.5.5", ROUTER[1]))
    return keep(town, spread)


@situation()
def the_same_questions_on_a_mirror() -> Town:
    """The appliance asks everybody for the gateway as often, and its unicast passes here too."""
    town = healthy()
    for n in range(20):
        town.arp(10 + 3 * n, town.port, ROUTER[1], ROUTER[0])
    return town


@situation("not-a-mirror", site=nobody)
def plain_port_without_a_site_file() -> Town:
    """As before, without a site file."""
    return plain_port_and_the_gateway_is_asked_for()


@situation(info=("no-appliance",), site=nobody, violations=None)
def office_without_an_appliance() -> Town:
    """PCs at work, some of their connections and names fail; nothing is an appliance's."""
    town = Town(port=PC)
    for n in range(20):
        at = 1 + 4 * n
        town.look(at, f"www{n}.example.com", f"198.51.100.{n + 1}")
        conn = town.to("", address=f"198.51.100.{n + 1}")
        conn.whole(at + 0.1, f"www{n}.example.com")
        conn.leave(at + 2)
        if n % 3 == 0:
            town.knock(at + 1, "", address="203.0.113.9")
        town.look(at + 1.5, "wpad.corp.example", rcode=3)
        town.arp(at, PC, ROUTER[1], ROUTER[0])
    return town


@situation()
def three_seconds_of_a_running_site() -> Town:
    """The capture begins inside connections that go on, and ends after three seconds."""
    town = healthy(60)
    return window(town, 30, 33)


def window(town: Town, start: float, end: float) -> Town:
    town.frames = [
        f for f in town.frames if start <= (f[0] - START) / 1e9 < end
    ]  # fmt: skip
    return town


@situation(site=nobody)
def three_seconds_of_a_running_site_without_a_site_file() -> Town:
    """The same without a site file."""
    return three_seconds_of_a_running_site()


@situation("tcp-blocked")
def five_seconds_with_a_dropped_endpoint() -> Town:
    """Five seconds: three SYNs to one name unanswered, another name works."""
    town = Town()
    town.arp(0.1, town.port, ROUTER[1], ROUTER[0])
    dies(town, 0.3, LOGS)
    town.visit(1.2, S3, stay=0.5)
    town.visit(2.5, METRICS, stay=0.5)
    town.quiet(0, 5, 0.5, 0)
    return window(town, 0, 5)


@situation("dns-sinkhole")
def two_seconds_with_a_sinkhole() -> Town:
    """Two seconds: one needed name leads to 0.0.0.0, another works."""
    town = Town()
    town.arp(0.1, town.port, ROUTER[1], ROUTER[0])
    town.visit(0.3, S3, stay=0.2)
    town.look(1.0, LOGS, "0.0.0.0")
    town.quiet(0, 2, 0.5, 0)
    return window(town, 0, 2)


@situation("internet-down")
def begins_while_the_internet_is_dead() -> Town:
    """The capture begins in the middle of an outage, inside unanswered SYNs."""
    return window(internet_dies_and_two_endpoints_are_tried(), 25, 60)


@situation()
def begins_inside_a_stream_and_a_long_connection() -> Town:
    """The stream and MQTT were there before the capture, and go on."""
    town = healthy(60)
    rtsp = Rtsp(town).play(1)
    rtsp.media(1.5, 60)
    return window(town, 20, 50)


@situation("tcp-blocked", info=("mirror-duplicates",))
def every_frame_is_copied_twice() -> Town:
    """Both sides of the session are mirrored: each frame comes twice; one endpoint is dropped."""
    town = one_endpoint_is_dropped_and_others_work()
    town.frames += [(t + 20_000, i, f, w) for t, i, f, w in town.frames]
    return town


@situation("tcp-blocked")
def router_is_where_we_look_and_one_name_is_dropped() -> Town:
    """Frames in a VLAN tag, as a trunk's mirror gives them; one name is dropped."""
    town = one_endpoint_is_dropped_and_others_work()
    town.frames = [(t, i, f[:12] + b"\x81\0\0\x14" + f[12:], w + 4) for t, i, f, w in town.frames]
    return town


def tcp_flags(frame: bytes) -> int | None:
    """The flags of a TCP segment over IPv4; None for other frames."""
    if frame[12:14] != b"\x08\x00" or frame[23] != 6:
        return None
    return frame[14 + 4 * (frame[14] & 15) + 13]


def port_in(frame: bytes, ports: set[int]) -> bool:
    """Whether a TCP segment or UDP datagram over IPv4 has one of these ports."""
    if frame[12:14] != b"\x08\x00" or frame[23] not in (6, 17):
        return False
    at = 14 + 4 * (frame[14] & 15)
    found = (int.from_bytes(frame[at + n : at + n + 2], "big") for n in (0, 2))
    return not ports.isdisjoint(found)


@situation("capture-snapped", proved=False)
def healthy_site_of_which_only_openings_and_ends_are_captured() -> Town:
    """`tcpdump 'tcp[tcpflags] & (tcp-syn|tcp-fin|tcp-rst) != 0'`: names are not to be read."""
    return keep(healthy(), lambda f: (tcp_flags(f) or 0) & 7 != 0)


@situation("tcp-blocked", "capture-snapped", proved=False, violations=None)
def blocked_endpoint_of_which_only_openings_and_ends_are_captured() -> Town:
    """SYNs are what such a capture is made for."""
    return keep(one_endpoint_is_dropped_and_others_work(), lambda f: (tcp_flags(f) or 0) & 7 != 0)


@situation(proved=False)
def healthy_site_through_a_filter_for_names() -> Town:
    """`tcpdump port 53`."""
    return keep(healthy(), lambda f: port_in(f, {53}))


@situation(proved=False)
def healthy_site_through_a_filter_for_the_cloud() -> Town:
    """`tcpdump tcp port 443 or tcp port 8883`."""
    return keep(healthy(), lambda f: port_in(f, {443, 8883}))


@situation(proved=False)
def healthy_site_without_its_segments_that_open() -> Town:
    """A filter that leaves every SYN out."""
    return keep(healthy(), lambda f: not (tcp_flags(f) or 0) & 2)
