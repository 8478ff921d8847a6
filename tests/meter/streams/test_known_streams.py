"""How a stream is found again, and that none is once it is over."""

from __future__ import annotations

from panotui.meter.rtsp.places import Place
from panotui.meter.streams.known_streams import KnownStreams

CAMERA, APPLIANCE, OTHER = b"c" * 16, b"a" * 16, b"o" * 16


def place(dst: bytes = APPLIANCE, dport: int = 5000, flow: int = 1) -> Place:
    return Place(4, CAMERA, dst, 6000, dport, flow, 0)


def test_stream_is_found_by_carrier_flow_and_target_until_it_is_over():
    known = KnownStreams(2)
    stream = known.open((False, 7, 99, 0), place(), 96)
    assert known.at((False, 7, 99, 0)) == [stream]
    assert known.on(False, 7) == known.of_flow(1) == known.toward(APPLIANCE, 5000) == [stream]
    known.remove(stream)
    assert not known.at((False, 7, 99, 0))
    assert not known.live()
    assert not known.toward(APPLIANCE, 5000)
    assert known.free == 2


def test_report_is_about_the_stream_between_its_two_hosts():
    known = KnownStreams(3)
    one = known.open((False, 1, 99, 0), place(), 96)
    two = known.open((False, 2, 99, 0), place(OTHER, flow=2), 96)
    assert known.find(99, place(dport=5001)) is one
    assert known.find(99, place(OTHER, dport=5001)) is two
    assert known.find(99, Place(4, OTHER, APPLIANCE, 1, 2, 3, 0)) is None


def test_of_several_readers_on_a_host_the_port_tells_which_one_reports():
    known = KnownStreams(2)
    one = known.open((False, 1, 99, 0), place(dport=5000), 96)
    two = known.open((False, 2, 99, 0), place(dport=5010, flow=2), 96)
    assert known.find(99, place(dport=5001)) is one
    assert known.find(99, place(dport=5011)) is two


def test_place_of_a_stream_that_is_over_is_taken_again_but_never_its_id():
    known = KnownStreams(1)
    first = known.open((False, 1, 5, 0), place(), 96)
    known.remove(first)
    second = known.open((True, 1, 5, 0), place(), 96)
    assert second.index == first.index
    assert second.id != first.id
    assert int(second.identity()["transport"][0]) == 6
