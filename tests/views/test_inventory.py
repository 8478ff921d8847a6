"""The inventory pane through a provider: rows, order, filter, detail, export."""

from __future__ import annotations

import csv
from pathlib import Path

from panotui.feed.codec import answer_reassembler, pack
from panotui.model import CameraRecord, DeviceRecord, FindingRecord, Snapshot
from panotui.views.frames import Command, Detail, View
from panotui.views.provider import StateProvider
from tests.views.records import START, FixedState, snapshot

CAMERA = DeviceRecord(
    mac="ac:cc:8e:11:22:01", vendor="Axis Communications AB", addresses=("10.20.0.11", "fe80::1"),
    names=("dock",), port="eth0", vlan=30, role="camera", first_time_ns=START, packets=9,
    bytes=900,
)  # fmt: skip
HOST = DeviceRecord(mac="5a:00:00:00:00:07", addresses=("10.20.0.77",), first_time_ns=START + 1)
APPLIANCE = DeviceRecord(mac="02:00:00:00:00:10", names=("eth0",), port="eth0", role="appliance")


class Seen(FixedState):
    def snapshot(self) -> Snapshot:
        import msgspec

        camera = CameraRecord(name="dock", address="10.20.0.11", state="silent")
        about = FindingRecord(
            id="camera-frozen", severity="error", confidence="certain", subject="dock", text="It.",
            action="a", first_time_ns=1, last_time_ns=2, key="camera-frozen|dock",
        )  # fmt: skip
        return msgspec.structs.replace(
            snapshot(30), devices=(HOST, CAMERA, APPLIANCE), cameras=(camera,), findings=(about,)
        )


def shown(**view: object) -> list[str]:
    frame = StateProvider(Seen(), "live").frame(View(pane="inventory", **view))  # type: ignore[arg-type]
    assert answer_reassembler().feed(pack(frame)) == [frame]
    assert frame.filter_error is None
    return [d.mac for d in frame.devices]


def test_what_matters_comes_first_and_every_column_sorts() -> None:
    assert shown() == [APPLIANCE.mac, CAMERA.mac, HOST.mac]
    assert shown(sort="bytes", reverse=True)[0] == CAMERA.mac
    assert shown(sort="address") == [CAMERA.mac, HOST.mac, APPLIANCE.mac]  # unknown ones last
    assert shown(sort="first", reverse=True)[0] == HOST.mac


def test_devices_are_found_by_what_a_person_knows_of_them() -> None:
    for text in (
        "dock", "ip:10.20.0.11", "host:dock", "vendor:axis", "vlan:30", "role:camera", "fe80",
        "mac:ac:cc:8e:11:22:01", "bytes:>100", "ip:10.20.0.0/24 vlan:30",
    ):  # fmt: skip
        assert shown(filter=text) == [CAMERA.mac], text
    assert shown(filter="ip:10.20.0.0/24") == [CAMERA.mac, HOST.mac]
    assert shown(port="eth0") == [APPLIANCE.mac, CAMERA.mac]


def detail(key: str) -> Detail:
    found = StateProvider(Seen(), "live").frame(View(detail=key)).detail
    assert found is not None
    return found


def test_a_detail_has_all_and_leads_to_the_camera_and_its_findings() -> None:
    found = detail(f"device:{CAMERA.mac}")
    assert found.device == CAMERA
    assert found.title == "dock  ac:cc:8e:11:22:01"
    lines = dict(found.sections[0].lines)
    assert lines["maker"] == "Axis Communications AB"
    assert lines["addresses"] == "10.20.0.11  fe80::1"
    assert [key for _, key in found.links] == ["camera:dock", "finding:camera-frozen|dock"]
    assert detail("device:00:00:00:00:00:00").gone


def test_the_table_is_exported(tmp_path: Path) -> None:
    provider = StateProvider(Seen(), "live", export_folder=tmp_path)
    done = provider.command(Command(name="export", key="inventory", text="csv role:camera"))
    assert done.ok, done.text
    rows = list(csv.DictReader(next(tmp_path.glob("*.csv")).open(encoding="utf-8")))
    assert [row["mac"] for row in rows] == [CAMERA.mac]
