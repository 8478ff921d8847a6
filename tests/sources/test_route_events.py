"""What the kernel tells of links and addresses is read from its bytes, and nothing else is."""

from __future__ import annotations

import ast
import os
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from panotui.sources.route_events import Change, changes
from tests.lab.netns import Namespace

# `ip monitor` on a cable's end that came up, and an address that it was given
LINK = (
    "48000000 1000 0000 00000000 00000000"  # 72 bytes, RTM_NEWLINK
    "00000100 07000000 43100100 00000000"  # index 7
    "0800 0d00 e8030000"  # IFLA_TXQLEN
    "0900 0300 6d69723000 000000"  # IFLA_IFNAME "mir0", padded
    "0500 1000 06000000"  # IFLA_OPERSTATE
    "0800 0400 dc050000"  # IFLA_MTU
)
ADDRESS = "20000000 1400 0000 00000000 00000000 02180000 07000000 0800 0100 0a000001"


def test_links_and_addresses_are_told_apart() -> None:
    raw = bytes.fromhex(LINK)
    raw = len(raw).to_bytes(4, sys.byteorder) + raw[4:]
    gone = raw[:4] + b"\x11" + raw[5:]
    assert changes(raw) == [Change(7, "mir0", False)]
    assert changes(gone + bytes.fromhex(ADDRESS)) == [
        Change(7, "mir0", True), Change(7, None, False),
    ]  # fmt: skip


def test_other_messages_are_passed_over() -> None:
    route = bytes.fromhex("1c000000 1800 0000 00000000 00000000 02000000 00000000 00000000")
    assert changes(route + bytes.fromhex(ADDRESS)) == [Change(7, None, False)]


@given(st.binary(max_size=64), st.integers(0, 80), st.integers(0, 255))
def test_any_bytes_are_survived(tail: bytes, at: int, value: int) -> None:
    raw = bytearray(bytes.fromhex(LINK + ADDRESS) + tail)
    raw[at % len(raw)] = value
    assert all(isinstance(change, Change) for change in changes(bytes(raw)))


HEAR = """
import select, subprocess
from panotui.sources.route_events import RouteEvents
events = RouteEvents()
told = []
for command in ("link add dum0 type veth peer name dum1", "link set dum0 up",
                "addr add 10.9.9.1/24 dev dum0", "link del dum0"):
    subprocess.run(["ip", *command.split()], check=True)
    while select.select([events], [], [], 0.2)[0]:
        told += events.get()
    print(sorted({(c.name or "", c.gone) for c in told if c.number > 1}))
    told.clear()
"""


@pytest.mark.lab
@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="needs root")
def test_kernel_is_heard_of_its_changes() -> None:
    with Namespace("ptroute") as space:
        done = space.run([sys.executable, "-c", HEAR])
    made, up, addressed, gone = map(ast.literal_eval, done.stdout.splitlines())
    assert ("dum0", False) in made
    assert ("dum0", False) in up
    assert ("", False) in addressed
    assert ("dum0", True) in gone
