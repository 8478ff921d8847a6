"""The inventory: every device that was seen on the wire."""

from __future__ import annotations

from panotui.model import DeviceRecord, Snapshot
from panotui.model.quantities import counted
from panotui.views.details import section
from panotui.views.frames import Detail
from panotui.views.identity import finding_key
from panotui.views.pane import Pane
from panotui.views.quantities import utc, word
from panotui.views.state import State

_ROLES = ("appliance", "camera", "gateway", "router", "switch", "resolver", "time server", "host")


def _detail(key: str, device: DeviceRecord, state: State, snapshot: Snapshot) -> Detail:
    mine = set(device.addresses)
    cameras = [c for c in snapshot.cameras if c.address in mine or c.mac == device.mac]
    about = {device.mac, *mine, *device.names, *(c.name for c in cameras)}
    findings = [f for f in snapshot.findings if f.subject in about]
    sections = (
        *section(
            "DEVICE",
            [
                ("role", device.role),
                ("names", ", ".join(device.names)),
                ("MAC", device.mac),
                ("maker", word(device.vendor)),
                ("addresses", "  ".join(device.addresses)),
                ("port", word(device.port)),
                ("VLAN", word(device.vlan)),
            ],
        ),
        *section(
            "SEEN",
            [
                ("first", utc(device.first_time_ns)),
                ("last", utc(device.last_time_ns)),
                ("sent", f"{counted(device.packets, 'packet')}  {counted(device.bytes, 'byte')}"),
            ],
        ),
        *section("FINDINGS", [(f.id, f.text) for f in findings[:20]]),
    )
    links = [(f"camera {c.name}", f"camera:{c.name}") for c in cameras]
    links += [(f"finding {f.id}", f"finding:{finding_key(f)}") for f in findings]
    return Detail(
        key=key,
        title=f"{device.names[0] if device.names else device.role}  {device.mac}",
        sections=sections,
        device=device,
        copy=device.mac,
        links=tuple(links[:20]),
    )


PANE = Pane(
    kind="device",
    record=DeviceRecord,
    rows=lambda snapshot: snapshot.devices,
    key=lambda device: str(device.mac),
    detail=_detail,
    name="inventory",
    rows_in="devices",
    short="Inv",
    fields={
        "mac": lambda d: (d.mac,),
        "ip": lambda d: d.addresses,
        "host": lambda d: (*d.names, *d.addresses),
        "camera": lambda d: d.names if d.role == "camera" else (),
        "vendor": lambda d: (d.vendor,),
        "role": lambda d: (d.role,),
        "port": lambda d: (d.port,),
        "vlan": lambda d: (d.vlan,),
        "packets": lambda d: (d.packets,),
        "bytes": lambda d: (d.bytes,),
    },
    words=("mac", "vendor", "names", "addresses", "role", "port"),
    own=lambda d: (_ROLES.index(d.role) if d.role in _ROLES else 9, d.first_time_ns, d.mac),
    columns={
        "name": lambda d: d.names[0] if d.names else None,
        "address": lambda d: d.addresses[0] if d.addresses else None,
        "role": lambda d: _ROLES.index(d.role) if d.role in _ROLES else 9,
        "first": lambda d: d.first_time_ns,
        "last": lambda d: d.last_time_ns,
    },
)
