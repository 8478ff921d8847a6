"""`policy export --seen`: what a capture shows fills in what the rules leave open."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from panotui import sources
from panotui.commands.policy import command

DEMO = Path(sources.__file__).parent / "demo"
SITE = ["--site", str(DEMO / "site.toml")]
SEEN = ["--seen", str(DEMO / "site.pcapng.zst")]
IOT = "a1b2c3d4e5f6g7-ats.iot.us-east-1.amazonaws.com"


def exported(*arguments: str) -> str:
    done = CliRunner().invoke(command, ["export", *arguments, *SITE], standalone_mode=False)
    assert done.exception is None, done.exception
    return done.output


def test_nftables_sets_have_the_addresses_that_were_seen() -> None:
    assert "203.0.113.10" not in exported("--format", "nftables")
    assert "203.0.113.10" in exported("--format", "nftables", *SEEN)


def test_mud_names_stand_in_for_wildcards() -> None:
    plain = json.loads(exported("--format", "mud"))["ietf-access-control-list:acls"]
    seen = json.loads(exported("--format", "mud", *SEEN))["ietf-access-control-list:acls"]
    assert IOT not in json.dumps(plain)
    assert IOT in json.dumps(seen)
    assert "p2p.vendor.example" not in json.dumps(seen)  # what violated is not let through


@pytest.mark.parametrize("kind", ["csv", "text"])
def test_the_other_forms_are_the_same_for_a_complete_site_file(kind: str) -> None:
    assert exported("--format", kind) == exported("--format", kind, *SEEN)
