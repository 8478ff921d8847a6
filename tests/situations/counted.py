"""What packets alone do not show: counters of an interface or of the capture, the load of a port,
and what a baseline says is usual; each beside the same scene with other numbers.
"""

from __future__ import annotations

from panotui.model import Site
from panotui.model.baseline import Baseline, CameraHabit, Cell, EndpointHabit, Series
from panotui.policy.judging.decision import BYSTANDER
from tests.diagnosis.wire import Rtsp
from tests.situations.cameras import filmed, reports, streams
from tests.situations.endpoints import others_work
from tests.situations.ports import on_the_appliance, on_two, readings
from tests.situations.situation import Missed, situation
from tests.situations.town import (
    ACK,
    AT,
    CAMERA,
    ETH0,
    ETH1,
    IOT,
    PORT1,
    S3,
    Town,
    arp_packet,
    dual,
)

# ---------------------------------------------------------------------- counters


@situation(info=("rx-dropped",), site=on_the_appliance, live=True,
           says={"rx-dropped": "interface counter"}, readings=readings(
               rx_packets=lambda s: 10_000 * s, rx_dropped=lambda s: 50 * s))  # fmt: skip
def the_interface_drops_what_nobody_wants() -> Town:
    """rx_dropped rises by 50 a second beside 10,000 packets: the kernel's counter, no packet."""
    return on_two()


@situation(site=on_the_appliance, live=True,
           readings=readings(rx_packets=lambda s: 10_000 * s, rx_dropped=50))  # fmt: skip
def the_interface_dropped_long_ago() -> Town:
    """The same, and the counter stands where it stood before this tool was started."""
    return on_two()


@situation("rx-dropped", proved=False, live=True, missed=Missed(20, 400),
           says={"rx-dropped": "this tool"})  # fmt: skip
def the_capture_misses_packets_while_all_is_well() -> Town:
    """This tool's ring overflows from 20 s on: 400 packets each second. The site is well."""
    town = Town()
    town.lives(40)
    others_work(town, 12, 32)
    return town


@situation(live=True, missed=Missed(0, 0))
def the_capture_misses_nothing() -> Town:
    """The same, and each packet is taken."""
    town = Town()
    town.lives(40)
    others_work(town, 12, 32)
    return town


# ---------------------------------------------------------------------- load


def _downloads(share: float) -> Town:
    """An image layer comes at a share of 1 Gb/s for 14 s, as an interface with receive offload
    shows it: segments of 60 kB, of which the capture keeps the heads."""
    town = on_two()
    first = len(town.frames)
    conn = town.to(S3)
    town.look(30, S3, AT[S3])
    conn.whole(30.05, S3)
    size, at = 60_000, 31.0
    step = size * 8 / (share * 1e9)
    long = (size - 14).to_bytes(2, "big")  # in the IP header
    for n in range(int(14 / step)):
        conn.segment(at + n * step, False, ACK, bytes(40))
        time_ns, _, frame, _ = town.frames[-1]
        town.frames[-1] = time_ns, 1, frame[:16] + long + frame[18:], size
        conn.got += size - 54
        if n % 16 == 15:
            conn.ack(at + n * step + step / 2)
    town.frames[first:] = [(t, 1, f, w) for t, _, f, w in town.frames[first:]]
    return town


@situation("saturated", site=on_the_appliance, live=True, readings=readings(),
           says={"saturated": r"eth1.*9\d % of 1000"})  # fmt: skip
def a_download_fills_the_port() -> Town:
    """Over 95 % of the port's 1000 Mb/s for 14 s."""
    return _downloads(0.955)


@situation(site=on_the_appliance, live=True, readings=readings())
def a_download_takes_most_of_the_port() -> Town:
    """The same at 80 %."""
    return _downloads(0.8)


# ---------------------------------------------------------------------- two mirrors


def two_mirrors() -> Site:
    """Each port of the appliance is mirrored to an interface of its own."""
    return dual(ports={
        "eth0": {"role": "camera", "mac": ETH0, "interface": "mir0"},
        "eth1": {"role": "cloud", "mac": ETH1, "interface": "mir1"},
    })  # fmt: skip


def _apart(joined: bool) -> Town:
    town = Town(interfaces=("mir0", "mir1"))
    town.lives(60)
    others_work(town, 12, 50)
    town.frames = [(t, 1, f, w) for t, _, f, w in town.frames]
    dock = Rtsp(town).play(1)
    dock.media(1.5, 60, packets=1)
    reports(dock, 5, 60)
    for n in range(12):
        frame = arp_packet(1, *PORT1, PORT1[1])
        town.add(3 + 4 * n, frame, 1)
        if joined:
            town.add(3.0001 + 4 * n, frame, 0)
    return town


@situation("port-same-net", site=two_mirrors, says={"port-same-net": "eth0.*eth1"})
def broadcasts_of_one_port_reach_the_other() -> Town:
    """What the cloud port asks of everybody is heard at the camera port: one broadcast domain."""
    return _apart(True)


@situation(site=two_mirrors)
def broadcasts_of_one_port_stay_in_their_network() -> Town:
    """The same, and nothing of the cloud port is heard at the camera port."""
    return _apart(False)


# ---------------------------------------------------------------------- what is usual


KNOWN = (
    "10.20.0.5 > rtsp",
    *(f"192.168.5.5 > {service}" for service in
      ("cloudwatch", "dns", "iot-credentials", "logs", "s3", "ntp")),
)  # fmt: skip


def always(value: float, spread: float = 0.0) -> Series:
    return Series(always=Cell(20_000, 14, value, spread))


def usual(rate: float = 38_250.0, fps: float = 5.0, readers: tuple[str, ...] = ("10.20.0.5",),
          peers: tuple[str, ...] = (), endpoints: dict[str, EndpointHabit] | None = None,
          **cameras: CameraHabit) -> Baseline:  # fmt: skip
    """Two weeks of a dock's camera at `rate`, and of what the appliance talks to."""
    dock = CameraHabit(
        rate_bps=always(rate, rate / 20), fps=always(fps, 0.2), gop_s=always(5.0, 1.0),
        loss=always(0.0), streams=always(1.0), readers=readers,
    )  # fmt: skip
    return Baseline(minutes=14 * 24 * 60, cameras={"dock": dock, **cameras},
                    endpoints=endpoints or {}, peers=(*KNOWN, *peers))  # fmt: skip


def a_while(minutes: int = 18) -> Town:
    """A camera of five small pictures a second and a cloud that works."""
    town = Town()
    end = minutes * 60.0
    town.lives(end)
    others_work(town, 12, end - 10)
    dock = streams(town, 1, CAMERA)[0]
    dock.media(2, end, fps=5, packets=1, key_every=25)
    reports(dock, 5, end)
    return town


ASKED_EACH_FIVE_MINUTES = {
    f"iot/{IOT}/8883": EndpointHabit(rtt_ms=always(30), longest_gap_minutes=5.0, contacts=500)
}


def _habit(*told: str, baseline: object, build: object = a_while, **more: object) -> None:
    """A while of a site under a name, compared with a baseline."""

    def made() -> Town:
        return build()  # type: ignore[operator, no-any-return]

    made.__name__, made.__doc__ = str(more.pop("name")), str(more.pop("text"))
    situation(*told, **{"site": filmed, "baseline": baseline, **more})(made)


def another_reads() -> Town:
    """The camera is read by a PC as well, from the fifth minute on."""
    town = a_while()
    pc = Rtsp(town, 44_000, address=CAMERA[1], camera_mac=CAMERA[0], client="10.20.0.77",
              client_mac="02:00:00:00:07:77", ports=7_000).play(240)  # fmt: skip
    pc.media(240.5, 1_080, fps=5, packets=1, key_every=25)
    reports(pc, 242, 1_080)
    return town


def asks_a_neighbour() -> Town:
    """The appliance speaks to a host that the site allows, from the fifth minute on."""
    town = a_while()
    for n in range(4):
        conn = town.tcp((*PORT1, 47_000 + n), ("02:00:00:00:07:30", "192.168.5.30", 8_086))
        conn.open(250 + 60 * n)
        conn.send(250.1 + 60 * n, b"POST /write HTTP/1.1\r\nHost: 192.168.5.30\r\n\r\n")
        conn.answer(250.2 + 60 * n, b"HTTP/1.1 204 No Content\r\n\r\n")
        conn.close(251 + 60 * n)
    return town


def with_metrics() -> Site:
    service = {"name": "metrics", "host": "192.168.5.30", "port": 8_086, "direction": "out"}
    return filmed_with(service=[service])


def filmed_with(**parts: object) -> Site:
    cameras = [{"name": name, "address": f"10.20.0.{n}"}
               for n, name in ((11, "dock"), (12, "yard"), (13, "gate"))]  # fmt: skip
    return dual(camera=cameras, **parts)


_habit(name="a_camera_is_as_it_always_is", baseline=usual,
       text="A quarter of an hour with a camera at its usual rate, rhythm and reader.")  # fmt: skip
_habit(name="a_camera_sends_a_tenth_of_its_usual_rate", baseline=lambda: usual(400_000.0),
       info=("unusual-stream",), says={"unusual-stream": r"dock sends .*usually 400 kb/s"},
       text="The same; for two weeks it has sent ten times as much.")  # fmt: skip
_habit("unusual-stream", name="a_camera_that_always_was_here_is_not",
       baseline=lambda: usual(gate=usual().cameras["dock"]), proved=False,
       says={"unusual-stream": "gate sends no stream"},
       text="The same; a second camera that streamed for two weeks is not there.")  # fmt: skip
_habit(name="a_pc_reads_a_camera_for_the_first_time", baseline=usual, build=another_reads,
       info=("unusual-reader",), says={"unusual-reader": r"10\.20\.0\.77"},
       text="A PC reads the camera too, which it has never done.")  # fmt: skip
_habit(name="a_pc_reads_a_camera_as_it_always_does", build=another_reads,
       baseline=lambda: usual(readers=("10.20.0.5", "10.20.0.77"),
                              peers=(f"10.20.0.77 > {BYSTANDER}",)),
       text="A PC reads the camera too, as it has done for two weeks.")  # fmt: skip
_habit("unusual-endpoint", name="an_endpoint_that_was_always_asked_is_not", proved=False,
       baseline=lambda: usual(endpoints=ASKED_EACH_FIVE_MINUTES), build=lambda: a_while(34),
       says={"unusual-endpoint": "the longest pause in 2 weeks was 5 min"},
       text="For two weeks MQTT was opened each five minutes; now it is not.")  # fmt: skip
_habit(name="the_appliance_speaks_to_a_new_neighbour", baseline=usual, build=asks_a_neighbour,
       site=with_metrics, info=("unusual-peer",),
       says={"unusual-peer": "metrics"},
       text="The appliance speaks to a host that the site allows, for the first time.")  # fmt: skip
_habit(name="the_appliance_speaks_to_its_old_neighbour", build=asks_a_neighbour, site=with_metrics,
       baseline=lambda: usual(peers=("192.168.5.5 > metrics",)),
       text="The same, as it has done for two weeks.")  # fmt: skip
