"""Which interfaces share a meter: those through which one packet may pass, and all in doubt."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from panotui.model import Site
from panotui.sources.live.together import forwards, groups, stacked_with


def site(vantage: str | None = None, **ports: str) -> Site:
    return msgspec.convert(
        {
            "site": {} if vantage is None else {"vantage": vantage},
            "ports": {port: {"interface": name} for port, name in ports.items()},
        },
        Site,
    )


@pytest.fixture
def sysfs(tmp_path: Path) -> Path:
    """a and b are ports of bridge br0; c carries the VLAN c.5; d stands alone."""
    for name in ("a", "b", "br0", "c", "c.5", "d"):
        (tmp_path / name).mkdir()
    for port in ("a", "b"):
        (tmp_path / port / "master").symlink_to(tmp_path / "br0")
        (tmp_path / port / "upper_br0").symlink_to(tmp_path / "br0")
        (tmp_path / "br0" / f"lower_{port}").symlink_to(tmp_path / port)
    (tmp_path / "c" / "upper_c.5").symlink_to(tmp_path / "c.5")
    (tmp_path / "c.5" / "lower_c").symlink_to(tmp_path / "c")
    return tmp_path


@pytest.fixture
def standing(tmp_path: Path) -> Path:
    """A machine that forwards nothing."""
    (tmp_path / "ipv4").mkdir()
    (tmp_path / "ipv4" / "ip_forward").write_text("0\n")
    return tmp_path


def test_two_ports_of_the_appliance_have_a_meter_each(sysfs: Path, standing: Path) -> None:
    both = site(eth0="c", eth1="d")
    assert groups(["c", "d"], both, sysfs, standing) == [["c"], ["d"]]
    assert groups(["d", "c"], both, sysfs, standing) == [["d"], ["c"]]


def test_ports_of_one_bridge_have_one_meter(sysfs: Path, standing: Path) -> None:
    assert groups(["a", "b"], site(eth0="a", eth1="b"), sysfs, standing) == [["a", "b"]]
    assert stacked_with("a", sysfs) == {"a", "b", "br0"}


@pytest.mark.parametrize("pair", [("a", "br0"), ("c", "c.5"), ("c.5", "c")])
def test_an_interface_and_what_is_on_it_have_one_meter(
    pair: tuple[str, str], sysfs: Path, standing: Path
) -> None:
    mapped = site(eth0=pair[0], eth1=pair[1])
    assert groups(pair, mapped, sysfs, standing) == [list(pair)]


@pytest.mark.parametrize("vantage", ["inline", "router", "host"])
def test_a_machine_in_the_way_has_one_meter(vantage: str, sysfs: Path, standing: Path) -> None:
    assert groups(["c", "d"], site(vantage, eth0="c", eth1="d"), sysfs, standing) == [["c", "d"]]


def test_a_machine_that_forwards_has_one_meter_unless_it_is_said_to_stand_at_mirrors(
    sysfs: Path, standing: Path
) -> None:
    (standing / "ipv4" / "ip_forward").write_text("1\n")
    assert forwards(standing)
    assert groups(["c", "d"], site(eth0="c", eth1="d"), sysfs, standing) == [["c", "d"]]
    mirrors = site("mirror", eth0="c", eth1="d")
    assert groups(["c", "d"], mirrors, sysfs, standing) == [["c"], ["d"]]


def test_interfaces_of_which_nobody_says_what_they_see_have_one_meter(
    sysfs: Path, standing: Path
) -> None:
    assert groups(["c", "d"], Site(), sysfs, standing) == [["c", "d"]]
    assert groups(["c", "d"], site(eth0="c"), sysfs, standing) == [["c", "d"]]
    assert groups(["c"], Site(), sysfs, standing) == [["c"]]
