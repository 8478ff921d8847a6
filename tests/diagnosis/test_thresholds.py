"""Thresholds are data: typed, in range, obeyed by the rules, and in no module's code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

import panotui
from panotui.diagnosis import security
from panotui.diagnosis.thresholds import Thresholds, thresholds
from panotui.state.thresholds import Thresholds as StateThresholds
from panotui.state.thresholds import parsed
from panotui.state.thresholds import thresholds as state_thresholds
from tests.made_up import APPLIANCE, Scene, flow, site

ROOT = Path(panotui.__file__).parent
FILE = (ROOT / "diagnosis/thresholds.toml").read_text("utf-8")

# What a number at the head of a module may be when it is no threshold, by its name's ending.
BOUNDS = re.compile(
    r"_(MAX|MOST|KEPT|A_TICK|A_MINUTE|A_BLOCK|FIRST|FROM)$"  # a table, a tick
    r"|SHOWN$|^(NAMED|LOOKED_AT|OF_A_KIND|EVIDENCE|RECENT|FEW|A_HOST_MOST)$"  # how much is shown
)
# Each of these is a fact and not a choice.
FACTS = {
    # when a second may pass without a look, whatever is reported
    "diagnosis/cameras/going_on.py": {"PLAYED_NS", "STEP_SHARE", "PORT_MBPS"},
    "diagnosis/clock.py": {"_MILLISECOND", "_EXPIRED"},  # a unit; of the protocol
    "diagnosis/cloud.py": {"HOUR", "SUPPORT_ENDED_NS"},  # a unit; a date of the service
    "diagnosis/link.py": {"MINUTE"},
    "diagnosis/mirror.py": {"MINUTE", "_TWICE"},  # a unit; of a wording
    "diagnosis/unusual.py": {"HARDLY", "MINUTE"},  # of a wording; a unit
    # how often a rule looks, whatever it reports
    "diagnosis/traffic.py": {"SLOW_MBPS"},
    "diagnosis/tls.py": {"_EXPIRED"},  # of the protocol
    "diagnosis/uplink.py": {
        "LOOK_AGAIN_NS",
        "MEASURED_EACH_NS",
        "MEASURED_SELDOM_NS",
        "_SOCKS",  # a port of IANA's
    },
    "state/claims.py": {"HSRP_ACTIVE"},  # of the protocol
    "state/ladder.py": {"NEVER_CAME"},  # beyond any place in a history
    "state/clock.py": {"MODE_CLIENT", "MODE_SERVER"},  # of the protocol
    "state/connects.py": {"_REFUSED_STATE", "_RESET"},  # indices of FLOW_STATES and FLOW_ENDS
    "state/flows/community_id.py": {"_SHA1_BYTES", "_NO_ANSWER"},
    "state/flows/folding.py": {"DNS_LEAST", "SCAN_LEAST", "_TCP", "_UDP", "_DOMAIN"},  # of a screen
    "state/flows/records.py": {"METER_SHIFT"},
    "state/habits.py": {"FRIDAY_ENDS", "_SIGMA"},  # of the week; of a normal distribution
    "state/ports.py": {"HISTORY_S", "PAUSE_MAC"},  # what a record keeps; IEEE 802.3
    "state/streams.py": {
        "HISTORY_S",
        "SHOWN_S",
        "IDLE",
        "REST_NS",
    },  # what a book keeps; an index of FLOW_ENDS; from when on time changes nothing more
    "state/strips.py": {"LIVE_S", "_SINCE_MAX_S"},  # what a book keeps
    "state/thresholds.py": {"_DAY_S", "_SECOND"},  # units
}


def numbers(path: Path) -> Iterator[str]:
    """The names at the head of a module that stand for a number, or for several."""
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            leaves = [n for n in ast.walk(node.value) if isinstance(n, ast.expr)]
            plain = all(
                isinstance(n, ast.BinOp | ast.UnaryOp | ast.Tuple)
                or (isinstance(n, ast.Name) and n.id in ("SECOND", "MINUTE", "HOUR"))
                or (isinstance(n, ast.Constant) and isinstance(n.value, int | float))
                for n in leaves
            )
            if plain and not isinstance(node.value, ast.Tuple | ast.Name):
                yield from (n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name))
            elif plain and isinstance(node.value, ast.Tuple):
                names = [n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)]
                # a tuple of port numbers or codes is a protocol's; two or more names are thresholds
                yield from (n for n in names if len(names) > 1 or n.endswith(("_S", "_NS", "_MS")))


# Comparisons with a number that is no threshold, by file.
COMPARED = {
    # more than half of several, or twice as many
    "diagnosis/cameras/reboots.py": {
        "abs((drift + around / 2) % around - around / 2) <= LIMITS.went_on_s"
    },
    "diagnosis/cameras/stamps.py": {"abs(nominal - expected / 2) > LIMITS.half_fps"},
    "diagnosis/cuts.py": {
        "well > 2 * len(cuts)",
        "count < 10000", "seconds < 10",  # of a wording
    },
    "diagnosis/diagnosis.py": {
        "life.seen_ns - began_ns < whole / 2",
        "now - life.seen_ns > 2 * SECOND + spec.clear_s * SECOND",  # a tick and its delay
    },
    "diagnosis/mirror.py": {"2 * count < total"},
    "diagnosis/topology.py": {"2 * times >= last - began"},
    "state/flows/book.py": {
        "int(meter) > 255",
        "apart > 120 * SECOND", "now_ns - self.rate_ns[slots] < 2 * SECOND",  # of a table
    },
    "state/strips.py": {"2 * recorded < np.maximum(widths, 1)"},
    # parts of a threshold
    "diagnosis/gateway.py": {"still.last_out_ns > new.first.time_ns + LIMITS.recent_ns // 12"},
    "diagnosis/silence.py": {
        "facts.now_ns - count.last_out_ns < 2 * LIMITS.alive_ns",
        "max(pauses) <= LIMITS.even_ratio * max(2 * SECOND, min(pauses))",
    },
    # units, sizes and codes
    "diagnosis/cameras/going_on.py": {
        "second.bytes * 8 > SHAPE.heavy_bps", "seconds['bytes'] * 8 > SHAPE.heavy_bps",
    },
    "diagnosis/cameras/pace.py": {"gap < 1000 * STREAM_LIMITS.frozen_s"},
    "diagnosis/cameras/streams.py": {"rate > LIMITS.port_share * (speed or 1000) * 1000000.0"},
    "diagnosis/cameras/refusals.py": {"300 < refusal.status < 400"},
    "diagnosis/clock.py": {"value < 10"},
    "diagnosis/failing.py": {"waited >= 2 * SECOND"},  # of a wording, as that above
    "diagnosis/security.py": {"len(labels) < 3", "rows['dst'][:, 0] < 224"},
    "diagnosis/traffic.py": {
        "max((r for r in rates if r), default=0) > SLOW_MBPS * 1000000.0",
        "min(recent) < LIMITS.saturated_share * speed * 1000000.0",
    },
    "diagnosis/unusual.py": {"days < 1.9", "weeks < 2"},
    "diagnosis/uplink.py": {"message.status >= 300"},
    "diagnosis/arp.py": {"len(addresses) > 4"},  # how many are named
    "state/camera_refusals.py": {"200 <= asked.status < 300", "asked.status >= 300"},
    "state/camera_session.py": {"200 <= asked.status < 300", "asked.status >= 400"},
    "state/cameras.py": {"300 <= message.status < 400"},
    "state/claims.py": {"len(raw) > 3", "len(raw) >= 20"},
    "state/clock.py": {"0 < message.poll <= 17", "1 <= stratum <= 15"},
    "state/connects.py": {"len(failed) <= 3"},  # how much is shown
    "state/flows/column_text.py": {"highest < 1 << 32"},
    "state/flows/records.py": {"first <= 122", "first >= 97"},
    "state/habits.py": {
        "minute >= 60 - LIMITS.edge_minutes",
        "minute.time_s - last_s > 60 * LIMITS.told_minutes",
    },
    "state/streams.py": {
        "200 <= message.status < 300",
        "last - row.first_ns > 10 * SECOND", "row.last_ns - row.first_ns >= SECOND // 2",
    },
    "state/tracking.py": {"self._looked_for.get(a, 0) < 5"},
    "state/vendors.py": {"bits > 24"},
    "state/visibility.py": {"at.spread < 2"},
}  # fmt: skip
ORDERED = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)


def comparisons(path: Path) -> Iterator[str]:
    """The comparisons of a module's functions with a number, but for 0, 1 and -1, the number of a
    table's rows, "more than one", and places in a sequence."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not isinstance(node, ast.Compare) or not any(isinstance(o, ORDERED) for o in node.ops):
            continue
        sides = [node.left, *node.comparators]
        sizes = [
            side.args[0] for side in sides
            if isinstance(side, ast.Call) and isinstance(side.func, ast.Name)
            and side.func.id == "len"
        ]  # fmt: skip
        if any(isinstance(size, ast.Attribute) for size in sizes):
            continue
        said = {n for side in sides for n in plain_numbers(side)} - {0, 1, -1}
        if said and not (sizes and said == {2}):
            yield ast.unparse(node)


def plain_numbers(node: ast.AST) -> Iterator[float]:
    """The numbers of an expression that are not in a subscript, a comparison or a call's name."""
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        yield node.value
    for child in ast.iter_child_nodes(node):
        if isinstance(node, ast.Subscript) and child is node.slice:
            continue
        if isinstance(child, ast.keyword | ast.Compare):
            continue
        yield from plain_numbers(child)


def test_rules_compare_with_no_number_of_their_own() -> None:
    found = []
    for room in ("diagnosis", "state"):
        for path in sorted((ROOT / room).rglob("*.py")):
            name, there = path.relative_to(ROOT).as_posix(), set(comparisons(path))
            known = COMPARED.get(name, set())
            found += [f"{name}: {text}" for text in sorted(there - known)]
            found += [f"{name}: excepted, but not there: {t}" for t in sorted(known - there)]
    assert not found, "move these to thresholds.toml, or say above why they are none"


def test_no_threshold_stands_in_code() -> None:
    found = []
    for room in ("diagnosis", "state"):
        for path in sorted((ROOT / room).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            known = FACTS.get(name, set())
            assert known <= set(numbers(path)), f"{name}: excepted here, but not there any more"
            found += [
                f"{name}: {number}"
                for number in numbers(path)
                if number not in known and not BOUNDS.search(number)
            ]
    assert not found, "move these to thresholds.toml, or say above why they are none"


@pytest.mark.parametrize("kind", [Thresholds, StateThresholds])
def test_each_table_is_of_a_module_that_reads_it(kind: type[msgspec.Struct]) -> None:
    room = "diagnosis" if kind is Thresholds else "state"
    text = "\n".join(p.read_text("utf-8") for p in (ROOT / room).rglob("*.py"))
    everywhere = "\n".join(p.read_text("utf-8") for p in ROOT.rglob("*.py"))
    for table in msgspec.structs.fields(kind):
        inner = {f.name: f.type for f in msgspec.structs.fields(table.type)}
        nested = {n: t for n, t in inner.items() if isinstance(t, type(msgspec.Struct))}
        for name, struct in (nested or {table.name: table.type}).items():
            path = f"{table.name}.{name}" if nested else name
            assert f"LIMITS = thresholds().{path}\n" in text
            for field in msgspec.structs.fields(struct):
                assert f"LIMITS.{field.name}" in everywhere, f"nobody reads {path}.{field.name}"


def test_times_are_seconds_in_the_file_and_nanoseconds_in_the_code() -> None:
    assert "moment_s = 0.1 " in FILE
    assert thresholds().cameras.fate.moment_ns == 100_000_000
    assert state_thresholds().claims.again_ns == (250_000_000, 2_500_000_000)


@pytest.mark.parametrize(
    ("line", "instead", "said"),
    [
        ("scan_targets = 50", "scan_targetz = 50", "scan_targets|scan_targetz"),
        ("scan_targets = 50", "", "scan_targets"),
        ("scan_targets = 50", "scan_targets = 0", "scan_targets"),
        ("scan_targets = 50", 'scan_targets = "many"', "scan_targets"),
        ("beacon_spread = 0.05", "beacon_spread = 1.5", "beacon_spread"),
        ("moment_s = 0.1", 'moment_s = "soon"', r"cameras\.fate\.moment_s"),
        ("moment_s = 0.1", "moment_s = -1", r"cameras\.fate\.moment_s"),
        ("[security]", "[sekurity]", "security|sekurity"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(line: str, instead: str, said: str) -> None:
    pattern = re.compile(rf"^{re.escape(line)}(?!\d)".replace(r"\ =", r" *="), re.M)
    assert len(pattern.findall(FILE)) == 1
    text = pattern.sub(instead + " ", FILE)
    with pytest.raises(msgspec.ValidationError, match=said) as caught:
        parsed(text, Thresholds)
    assert "\n" not in str(caught.value)


def scanned(targets: int) -> bool:
    """Is a host that tries so many ports called a scanner?"""
    scene = Scene(site())
    scene.tick([flow(n, "192.168.5.66", APPLIANCE, 1000 + n, 1.0) for n in range(1, targets + 1)])
    scene.tick()
    return "scan" in scene.findings()


@pytest.mark.parametrize(("limit", "targets", "told"), [
    (50, 20, False), (50, 60, True), (10, 20, True), (100, 60, False),
])  # fmt: skip
def test_rules_obey_them(
    limit: int, targets: int, told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = msgspec.structs.replace(thresholds().security, scan_targets=limit)
    monkeypatch.setattr(security, "LIMITS", changed)
    assert scanned(targets) is told
