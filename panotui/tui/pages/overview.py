"""The overview: four questions, each answered in its heading, and the actions.

Are both ports healthy? Is every camera streaming? Does the appliance reach its endpoints? Is there
forbidden traffic? On a low terminal each section shows its worst rows and the number of the rest; a
problem is never dropped in favour of something that works.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from panotui.model import (
    CameraRecord,
    ClockRecord,
    EndpointRecord,
    FindingRecord,
    PortRecord,
    ResolverRecord,
    StreamRecord,
    ViolationRecord,
)
from panotui.model.quantities import UNKNOWN, counted, listed
from panotui.state.standing import (
    cameras_said,
    dead_cameras,
    dead_endpoints,
    endpoints_said,
    unseen_endpoints,
    violations_said,
)
from panotui.tui.cells import distinct, width, wrap
from panotui.tui.chart import sparkline
from panotui.tui.glyphs import Look, Role, look, role, trouble
from panotui.tui.line import Line, Pen, Span
from panotui.tui.page import Item, Page, Scene
from panotui.tui.pages import endpoints, findings, streams, violations
from panotui.tui.quantities import count, milliseconds, number, round_trip, since
from panotui.views.identity import endpoint_names
from panotui.views.subjects import row_key
from panotui.views.words import TROUBLE, state_word

_PORT_ROLES = {"camera": "cameras", "cloud": "cloud", "both": "both"}
CELL, TILE_MOST = 26, 44  # cells per endpoint in the grid
TILE_FRAME = 5  # of them: the mark, the spaces around the name, the space to the next
RATES_CELLS = 20  # of a port's line, both directions
CAMERA_CELLS = 66  # of a camera's line, its name and curve apart
CURVE_LEAST = 8
NARROW = 72  # below this, addresses, formats and jitter are left to the details: rates stay whole


class _Unit(Struct, frozen=True):
    """One or two lines that belong together, and their selectable parts (relative rows)."""

    lines: tuple[Line, ...]
    items: tuple[Item, ...]
    look: Look


class _Section(Struct):
    title: str
    answer: Sequence[Span]
    units: list[_Unit]  # worst first
    beyond: int = 0  # more than the frame has, no worse than the last unit
    taken: int = 0

    @property
    def height(self) -> int:
        return 1 + sum(len(unit.lines) for unit in self.units[: self.taken])


def draw(scene: Scene) -> Page:
    """The whole overview in the page's height, worst first."""
    sections = [_ports(scene), _cameras(scene), _cloud(scene), _violations(scene), _todo(scene)]
    _share(sections, scene.height)
    spare = scene.height - sum(section.height for section in sections)
    airy = spare >= len(sections)
    page = Page()
    for section in sections:
        if airy and page.lines:
            page.lines.append(scene.pen().line())
        page.lines.append(_heading(section, scene))
        for unit in section.units[: section.taken]:
            top = len(page.lines)
            page.lines.extend(unit.lines)
            page.items.extend(
                Item(i.key, top + i.row, i.start, i.stop, i.copy, i.known) for i in unit.items
            )
    return page.fill(scene.width, scene.height)


def _share(sections: list[_Section], height: int) -> None:
    """Distribute the lines: ports first, then one unit to each section in turn, actions first."""
    ports, cameras, cloud, broken, todo = sections
    room = height - len(sections)

    def take(section: _Section) -> bool:
        nonlocal room
        if section.taken >= len(section.units):
            return False
        lines = len(section.units[section.taken].lines)
        if lines > room:
            return False
        section.taken += 1
        room -= lines
        return True

    while take(ports):
        pass

    def bad_first(section: _Section) -> bool:
        at = section.taken
        return at < len(section.units) and section.units[at].look in ("bad", "warn")

    # Problems first, in turn; only then the rest.
    for wanted in (bad_first, lambda section: True):
        progress = True
        while progress:
            progress = False
            for section in (todo, cameras, broken, cloud):
                if wanted(section) and take(section):
                    progress = True


def _heading(section: _Section, scene: Scene) -> Line:
    pen = scene.pen().put(" ").put(section.title, "head").put("  ").spans(section.answer)
    hidden = section.units[section.taken :]
    if hidden or section.beyond:
        looks = [unit.look for unit in hidden for _ in unit.items]
        looks += [section.units[-1].look if section.units else "unknown"] * section.beyond
        well = looks.count("ok")
        ill = "bad" in looks or "warn" in looks
        others = len(looks) - well
        parts = [f"+{others} more"] if others else []
        if well:
            parts.append(f"+{well} ok")
        pen.right(" ".join(parts) + " ", "warn" if ill else "dim")
    return pen.line()


def _answer(text: str, looks: Sequence[Look]) -> list[Span]:
    worst: Look = min(looks, key=trouble) if looks else "unknown"
    return [(text, "dim" if worst == "unknown" else role(worst))]


def _unit(scene: Scene, key: str, of: Look, copy: str, *pens: Pen, known: bool | None = None,
          ) -> _Unit:  # fmt: skip
    return _Unit(
        tuple(pen.line() for pen in pens), (Item(key, 0, 0, scene.width, copy, known),), of
    )


def strip_values(scene: Scene) -> dict[str, str]:
    """The text after each strip: the newest rate, or the word for the problem."""
    frame = scene.frame
    values: dict[str, str] = {}
    for strip in frame.strips.strips if frame.strips is not None else ():
        rate = f"{scene.mega(strip.rate_bps)} {scene.mega_unit}"
        values[strip.key] = strip.word or (UNKNOWN if strip.rate_bps is None else rate)
    counts = frame.header.counts
    values["internet"] = f"{counts.endpoints_ok}/{counts.endpoints}" if counts.endpoints else ""
    values["us"] = f"lost {count(frame.header.lost)}"
    return values


# ---------------------------------------------------------------- ports


def _ports(scene: Scene) -> _Section:
    ports = scene.frame.ports
    looks = [look(port.standing) for port in ports]
    if not ports:
        answer: list[Span] = [("none seen yet", "dim")]
    elif all(port.standing == "up" for port in ports):
        answer = [("both up" if len(ports) == 2 else f"all {len(ports)} up", "ok")]
        if len(ports) == 1:
            answer = [("up", "ok")]
    else:
        ill = [port for port in ports if port.standing != "up"]
        answer = _answer(", ".join(f"{port.name} {port_word(port)}" for port in ill), looks)
    addresses = max((width(_address(port)) for port in ports), default=0)
    neighbours = max((width(port.neighbour or UNKNOWN) for port in ports), default=0)
    fits = (min(39, max(15, addresses)), neighbours) if scene.width >= 110 else (15, 0)
    return _Section("PORTS", answer, [_port(port, scene, *fits) for port in ports])


def _address(port: PortRecord) -> str:
    return port.addresses[0] if port.addresses else UNKNOWN


def port_word(port: PortRecord) -> str:
    """`silent`, or the finding about a port that is up."""
    if port.standing == port.state or port.state != "up":
        return port.state
    return port.trouble_word or TROUBLE


def _port(port: PortRecord, scene: Scene, address: int, neighbour: int) -> _Unit:
    """One line; `address` and `neighbour` are the cells that all ports need for theirs."""
    of = look(port.standing)
    state = port.state
    if port.state not in ("up", "unknown") and port.state_since_ns:
        state += f" {since(port.state_since_ns, scene.now_ns)}"
    elif port.trouble:
        state = port_word(port)
    elif not port.link_is_ours and port.speed_mbps:
        state += f" {port.speed_mbps} {port.duplex or ''}".rstrip()
    wide = scene.width >= 110
    pen = scene.pen().put(" ").put(*scene.mark(of)).put(" ")
    pen.field(port.name, 5 if not wide else 8, "strong").put(
        f"{_PORT_ROLES.get(port.role or '', port.role or UNKNOWN):<8.8}"
    )
    pen.field(state, 13, role(of))
    if scene.width >= NARROW:
        pen.put(" ").field(_address(port), address)
    if neighbour:
        most = pen.room - 1 - RATES_CELLS - CURVE_LEAST
        pen.put(" ").field(port.neighbour or UNKNOWN, min(neighbour, most), "dim")
    pen.put(f" {scene.glyphs.inward}{scene.mega(port.rate_in_bps):>5}")
    pen.put(f" {scene.glyphs.outward}{scene.mega(port.rate_out_bps):>5} {scene.mega_unit} ")
    total = [
        None if a is None and b is None else (a or 0) + (b or 0)
        for a, b in zip(
            port.history_in_bps[-60:],
            _aligned(port.history_out_bps, len(port.history_in_bps[-60:])),
            strict=True,
        )
    ]
    pen.put(sparkline(total, min(60, pen.room - 1), scene.glyphs), "chart")
    return _unit(scene, f"port:{port.name}", of, f"{port.name} {port.state}", pen)


def _aligned(history: Sequence[float | None], size: int) -> list[float | None]:
    tail = list(history[-size:]) if size else []
    return [None] * (size - len(tail)) + tail


# ---------------------------------------------------------------- cameras


def _cameras(scene: Scene) -> _Section:
    frame = scene.frame
    by_id = {stream.id: stream for stream in frame.streams}
    cameras = []
    for camera in frame.cameras:
        own = [by_id[s] for s in camera.streams if s in by_id]
        video = [s for s in own if s.media in (None, "video")] or own
        stream = min(
            video, key=lambda s: (trouble(streams.look_of(s)), -s.last_time_ns), default=None
        )
        of = look(camera.standing, camera=True)
        if stream is not None and trouble(look(stream.standing)) < trouble(of):
            of = look(stream.standing)
        cameras.append((camera, stream, of))
    cameras.sort(key=lambda entry: (trouble(entry[2]), entry[0].name))
    counts = frame.header.counts
    if not counts.cameras:
        answer: Sequence[Span] = [("none seen yet", "dim")]
    else:
        answer = _answer(cameras_said(counts), [of for _, _, of in cameras])
    shown = {c.name: scene.manner.named(c.name, c.address) for c, _, _ in cameras}
    longest = max((width(name) for name in shown.values()), default=8)
    cells = min(max(8, longest), max(14, scene.width - CAMERA_CELLS - CURVE_LEAST))
    short = distinct(tuple(shown.values()), cells, scene.glyphs.ellipsis)
    return _Section(
        "CAMERAS",
        answer,
        [_camera(*c, short[shown[c[0].name]], cells, scene) for c in cameras],
        beyond=max(0, counts.cameras - len(cameras)),
    )


def _camera(
    camera: CameraRecord,
    stream: StreamRecord | None,
    of: Look,
    name: str,
    names: int,
    scene: Scene,
) -> _Unit:
    pen = scene.pen().put(" ").put(*scene.mark(of)).put(" ").field(name, names, "strong")
    key, copy = f"camera:{camera.name}", f"{camera.name} {camera.address} {camera.state}"
    flowing = stream is not None and camera.state in ("streaming", "losing")
    if stream is None or not flowing:
        pen.put(" ").put(camera.state, role(of))
        if camera.state_since_ns and camera.state not in ("unseen", "connecting"):
            pen.put(f" for {since(camera.state_since_ns, scene.now_ns)}", role(of))
        pen.to(max(pen.column + 2, names + 28)).put(camera.state_text or "")
        if scene.width >= 110:
            pen.right(f"{camera.address} ", "dim")
        return _unit(scene, key, of, copy, pen)
    word = state_word(stream)
    pen.put(" ").field(word, 6, role(of))
    if scene.width >= NARROW:
        pen.put(" ").field(streams.codec(stream.codec), 5)
        pen.field(streams.size(stream), 9)
    pen.put(f"{number(stream.fps_now, 1):>5} fps", "warn" if streams.fps_short(stream) else "plain")
    pen.put(f" {scene.mega(stream.rate_bps):>4} {scene.mega_unit}")
    loss, loss_role = streams.loss_of(stream, scene)
    pen.put(" loss ").put(f"{loss:<7}", loss_role)
    if scene.width >= NARROW:
        pen.put(f"{milliseconds(streams.jitter_ms(stream)):>3} ms ")
    if scene.width >= 110 and pen.room >= 32:
        pen.field(stream.transport, 4, "dim").field(camera.address, 16, "dim")
        pen.field(camera.vendor or UNKNOWN, min(20, max(0, scene.width - 120)), "dim").put(" ")
    pen.put(sparkline(stream.history_bps, min(60, pen.room - 1), scene.glyphs), "chart")
    return _unit(scene, key, of, copy, pen)


# ---------------------------------------------------------------- cloud


def _cloud(scene: Scene) -> _Section:
    frame = scene.frame
    shown = [e for e in frame.endpoints if e.needed or e.state != "unseen"]
    shown.sort(key=lambda e: (trouble(endpoints.look_of(e)), not e.needed))
    looks = [endpoints.look_of(e) for e in shown]
    known = {cell[0]: cell for cell in _infrastructure(frame.resolvers, frame.clock, scene)}
    cells = []
    names = endpoint_names(shown)
    for endpoint in shown:
        cell = _endpoint_cell(endpoint, scene)
        if cell[0] not in known:
            cell = (names[row_key(endpoint)], cell[1], cell[2])
        measured = known.pop(cell[0], None)  # DNS and NTP are endpoints and are measured, too
        if measured is not None and trouble(measured[2]) <= trouble(cell[2]):
            cell = measured
        cells.append((cell, f"endpoint:{row_key(endpoint)}", endpoint.host))
    cells += [(cell, "", cell[0]) for cell in known.values()]
    cells.sort(key=lambda cell: trouble(cell[0][2]))
    answer: Sequence[Span] = [("no endpoint known", "dim")]
    if shown:
        answer = _answer(endpoints_said(frame.header.counts), looks)
    across = max(1, (scene.width - 1) // _tile([cell for cell, _, _ in cells], scene))
    tile = (scene.width - 1) // across
    units = []
    for start in range(0, len(cells), across):
        pen, items = scene.pen(), []
        row = cells[start : start + across]
        for position, ((name, words, of), key, copy) in enumerate(row):
            pen.to(1 + position * tile).put(*scene.mark(of)).put(" ")
            room = tile - 3 - width(words)
            pen.name(name, "strong", keep=max(0, pen.room - room + 1)).put(" ")
            pen.put(words, role(of) if of != "ok" else "plain")
            if key:
                items.append(Item(key, 0, 1 + position * tile, pen.column, copy))
        worst = min((of for (_, _, of), _, _ in row), key=trouble)
        units.append(_Unit((pen.line(),), tuple(items), worst))
    return _Section("CLOUD", answer, units)


_Cell = tuple[str, str, Look]


def _tile(cells: Sequence[_Cell], scene: Scene) -> int:
    """Cells per endpoint: on a wide screen as many as the longest name with its words needs."""
    if scene.width < 110:
        return CELL
    longest = max((width(name) + width(words) for name, words, _ in cells), default=0)
    return min(max(CELL, longest + TILE_FRAME), TILE_MOST)


def _endpoint_cell(endpoint: EndpointRecord, scene: Scene) -> _Cell:
    of = endpoints.look_of(endpoint)
    if endpoint.state != "reachable":
        words = endpoint.state
    elif endpoint.open_since_ns:
        words = f"open {since(endpoint.open_since_ns, scene.now_ns)}"
    else:
        words = f"ok {since(endpoint.last_success_ns, scene.now_ns)} ago"
    return endpoint.label or endpoint.service, words, of


def _infrastructure(
    resolvers: Sequence[ResolverRecord], clock: ClockRecord | None, scene: Scene
) -> list[_Cell]:
    cells: list[_Cell] = []
    if resolvers:
        best = max(resolvers, key=lambda r: r.answers)
        if best.answers == 0 and best.queries:
            cells.append(("DNS", "silent", "bad"))
        else:
            failing = best.failures * 2 > best.answers
            word = "failing" if failing else "ok"
            cells.append(
                ("DNS", f"{word} {round_trip(best.median_ms)} ms", "bad" if failing else "ok")
            )
    if clock is not None and (clock.servers or clock.state != "unknown"):
        of = look(clock.state)
        if clock.state == "silent":
            of = "bad"
        server = next((s for s in clock.servers if s.offset_ms is not None), None)
        words = clock.state
        if clock.state == "synchronised":
            words = "ok" if server is None else f"ok {server.scope} {_offset(server.offset_ms)}"
        cells.append(("NTP", words, of))
    return cells


def _offset(offset_ms: float | None) -> str:
    """A clock's offset with its sign, without a negative zero."""
    return "-" if offset_ms is None else f"{round(offset_ms) or 0:+d} ms"


# ---------------------------------------------------------------- violations


def _violations(scene: Scene) -> _Section:
    found = [v for v in scene.frame.violations if v.state == "open"]
    found.sort(key=lambda v: (v.known, trouble(look(v.severity))))
    units = [_violation(v, scene) for v in found]
    beyond = max(0, scene.frame.header.counts.violations_open - len(found))
    return _Section("VIOLATIONS", [_violations_answer(found, scene)], units, beyond)


def _violations_answer(found: Sequence[ViolationRecord], scene: Scene) -> Span:
    counts = scene.frame.header.counts
    if found or counts.violations_open or counts.violations_past:
        return violations_said(counts), violations.heading_role(found)
    return (f"{scene.glyphs.ok} none", "ok") if counts.flows else ("none seen yet", "dim")


def _violation(violation: ViolationRecord, scene: Scene) -> _Unit:
    of = violations.look_of(violation)
    pen = scene.pen().put(" ").put(*scene.mark(of)).put(" ")
    pen.put(violation.reason, role(of)).put("  ")
    times = f"{count(violation.flows)}x"
    tail = f"  {times}  {since(violation.last_time_ns, scene.now_ns)}"
    text = violations.peers(violation, scene.glyphs.to)
    if violation.host and violation.host != violation.dst:
        text += f" {violation.host}"
    pen.name(text, keep=len(tail) + 1).put(tail, "dim")
    return _unit(
        scene, f"violation:{violation.id}", of, f"{violation.reason} {text}", pen,
        known=violation.known,
    )  # fmt: skip


# ---------------------------------------------------------------- actions


def _todo(scene: Scene) -> _Section:
    header = scene.frame.header
    found = [f for f in scene.frame.findings if f.cleared_time_ns is None and f.hidden_by is None]
    found.sort(key=lambda f: (f.known, trouble(look(f.severity))))
    notes = sum(1 for f in found if not f.known and findings.look_of(f) in ("note", "unknown"))
    known = sum(1 for f in found if f.known)
    units = [_finding(f, scene) for f in found]
    answer: list[Span]
    if len(found) > notes + known:
        urgent = any(findings.look_of(f) == "bad" for f in found)
        answer = [(counted(len(found) - notes - known, "finding"), "bad" if urgent else "warn")]
        if known:
            answer.append((f", {known} known", "plain"))
        if notes:
            answer.append((f", {counted(notes, 'note')}", "plain"))
        return _Section("WHAT TO DO", answer, units)
    known += header.counts.violations_known
    dead = dead_cameras(scene.frame.cameras) + dead_endpoints(scene.frame.endpoints)
    if header.all_well_since_ns and known:
        answer = [(f"{scene.glyphs.ok} all else is well", "ok"), (f", {known} known", "plain")]
    elif header.all_well_since_ns and (odd := _odd_streams(scene)):
        answer = [(f"no cause known yet: {odd[0]}", "warn")]
    elif header.all_well_since_ns:
        answer = [_well(scene, header.all_well_since_ns)]
    elif header.counts.violations_open > header.counts.violations_known:
        news = header.counts.violations_open - header.counts.violations_known
        answer = [(f"{counted(news, 'violation')} to look at", "warn")]
    elif known:
        answer = [(f"{known} known, nothing else is open", "warn")]
    elif dead:
        answer = [(f"no cause known: {', '.join(dead[:4])} {'do' if dead[1:] else 'does'} not work",
                   "warn")]  # fmt: skip
    else:
        answer = [("nothing yet: not enough was seen to say that all is well", "dim")]
    if notes:
        answer.append((f"  {counted(notes, 'note')}", "plain"))
    return _Section("WHAT TO DO", answer, units)


def _well(scene: Scene, since_ns: int) -> Span:
    """Nothing is wrong: of everything, or of what was seen until now."""
    starting = [c.name for c in scene.frame.cameras if c.state == "connecting"]
    if starting:
        verb = "are" if starting[1:] else "is"
        return f"nothing yet: {listed(starting)} {verb} connecting", "dim"
    unseen = [c.name for c in scene.frame.cameras if c.state == "unseen"]
    unseen += unseen_endpoints(scene.frame.endpoints)
    what = "all that was seen" if unseen else "all"
    return f"{scene.glyphs.ok} nothing: {what} is well since {scene.when(since_ns)}", "ok"


def _odd_streams(scene: Scene) -> list[str]:
    """`the stream of gate is slow`: in trouble, and too short for a finding."""
    ill = [s for s in scene.frame.streams if streams.look_of(s) in ("bad", "warn")]
    return [f"the stream of {s.camera or s.src} is {state_word(s)}" for s in ill]


def _finding(finding: FindingRecord, scene: Scene) -> _Unit:
    of = findings.look_of(finding)
    colour: Role = role(of)
    first = scene.pen().put(" ").put(*scene.mark(of)).put(" ")
    sure = "" if finding.confidence == "certain" else f" ({finding.confidence})"
    hangs = f" +{len(finding.hides)} behind it" if finding.hides else ""
    room = first.room - len(sure) - len(hangs)
    said = wrap(finding.text, first.room)
    if width(finding.text) <= room:
        said = [finding.text]
    strong: Role = "strong" if of in ("bad", "warn") else "plain"
    pens = [first.put(said[0], strong)]
    for text in said[1:3]:
        pens.append(scene.pen().put("   ").put(text, strong))
    if len(said) > 3:
        pens[-1].put(scene.glyphs.ellipsis, strong)
    if pens[-1].room < len(sure) + len(hangs):
        pens.append(scene.pen().put("  "))
    pens[-1].put(sure, "dim").put(hangs, "dim")
    do = wrap(finding.action, scene.width - 6) if finding.action else []
    for place, text in enumerate(do[:3]):
        pens.append(scene.pen().put("   > " if not place else "     ", colour).put(text))
    if len(do) > 3:
        pens[-1].put(scene.glyphs.ellipsis)
    return _unit(
        scene, f"finding:{row_key(finding)}", of, f"{finding.text} {finding.action}".strip(),
        *pens, known=finding.known,
    )  # fmt: skip
