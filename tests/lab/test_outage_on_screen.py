"""The internet goes away and comes back: what the overview of 80x24 says of it."""

from __future__ import annotations

import re

import pytest

from tests.commands.test_live_lab import PANOTUI, Screen
from tests.lab import faults
from tests.lab.netns import require_root

pytestmark = pytest.mark.lab
WITHIN_S = 20
TODO = "WHAT TO DO"


def to_do(screen: Screen) -> list[str]:
    """The lines below `WHAT TO DO`, as sentences and actions."""
    lines = screen.text().partition(TODO)[2].splitlines()
    body = [line.strip() for line in lines[1:-2] if line.strip()]
    out: list[str] = []
    for line in body:
        if re.match(r"[✖!i>] ", line) or not out:
            out.append(line)
        else:
            out[-1] += f" {line}"
    return out


def test_one_sentence_and_one_action_within_twenty_seconds_and_again_when_it_is_back() -> None:
    require_root()
    with faults.made() as lab:
        plant = lab.plant
        command = [*PANOTUI, "live", "mir0", "mir1", "--site", str(plant.site_file)]
        screen = Screen(plant.probe.command(command))
        screen.until(["eth0", "eth1"], 60)
        lab.talk()
        screen.until(["9 of 9 needed reachable", "nothing"], 60)
        lab.firewall("drop")
        screen.until(["Nothing on the internet has answered eth1", "Ask the owner"], WITHIN_S)
        sentence, action = to_do(screen)
        assert sentence.startswith("✖ Nothing on the internet has answered eth1 since ")
        assert "behind it" in sentence, "what hangs on it is counted and not repeated"
        assert action.startswith("> Ask the owner of the router 192.168.5.1 to check its way")
        assert f"{TODO}  1 finding" in screen.text()
        assert "of 9 needed reachable" in screen.text()
        assert "9 of 9 needed reachable" not in screen.text(), screen.text()
        lab.open()
        well = "✔ nothing: all that was seen is well since"  # no camera was
        screen.until(["9 of 9 needed reachable", well], WITHIN_S)
        assert "internet" not in "".join(to_do(screen))
        screen.press(b"7")  # the events say that it is over
        screen.until(["EVENTS", "Nothing on the internet"], 60)
        screen.press(b"q")
        assert screen.ended(60) == 0
