"""A line of a recorder's status."""

from __future__ import annotations

import time

from panotui.commands.recorder_status import Processor, status_object
from panotui.engine.engine import Engine
from panotui.model import RecorderRecord
from tests.made_up import site


def test_before_the_first_packet_a_status_tells_the_machines_time_not_1970() -> None:
    before = time.time_ns()
    record = RecorderRecord(path="night.panotui", since_ns=before)
    said = status_object(Engine(site()).snapshot(), record, {}, (), Processor(), Processor(), ())
    assert before <= said["time_ns"] <= time.time_ns()
    assert not said["time"].startswith("1970")
