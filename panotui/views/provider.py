"""Answers a screen's requests from a `State`: the running engine, or a recording at a time.

A `View` in, one `Frame` out with only the visible rows; a `Command` in, one `Done` out. The state
stores marks, so that all screens show the same. Writers (recorder, site file, exports) are
injected.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import msgspec
import msgspec.structs

from panotui.errors import NotYetError, PanotuiError
from panotui.model import (
    SECOND,
    CameraRecord,
    EndpointRecord,
    EventRecord,
    EvidenceFileRecord,
    FindingRecord,
    FlowRecord,
    RecorderRecord,
    Snapshot,
    ViolationRecord,
)
from panotui.model.page import Page
from panotui.state.leads import with_evidence, without_counts
from panotui.state.marks import MARKS_MAX
from panotui.views.export import write_detail, write_packets, write_table
from panotui.views.filter import FilterError, parse
from panotui.views.frames import (
    Command,
    Detail,
    Done,
    Frame,
    Header,
    ReviewState,
    Strips,
    StripsView,
    View,
)
from panotui.views.held import HeldMoments
from panotui.views.order import ROWS_MAX as ORDER_ROWS
from panotui.views.order import HeldOrders
from panotui.views.panes import OVERVIEW_ROWS, ROWS_MAX, matching, page, window
from panotui.views.state import State
from panotui.views.strips import LiveTimes, Times, strips, values_of
from panotui.views.subjects import BY_NAME, CAMERAS, EVENTS, STREAMS, detail_of, worst_cameras
from panotui.wire.text import printable

SNAPSHOT_AGE_S = 0.2  # several requests within this time share one snapshot
BEGINNING_S = 6.0


class Notebook(Protocol):
    """Stores notes of users; a recorder does so on disk."""

    def mark(self, time_ns: int, text: str) -> None: ...

    def known(self, key: str, is_known: bool) -> None: ...


class SiteEditor(Protocol):
    """Accepts a violation into the site file, and undoes it."""

    def accept(self, violation: ViolationRecord) -> str: ...

    def undo(self) -> str: ...


class Written(Protocol):
    """A file of packets that was written."""

    def text(self, name: str) -> str:
        """One line for a user who knows the file as `name`."""


class Packets(Protocol):
    """The owner of the packets of findings and violations."""

    def of(self, subject: str, since_ns: int) -> EvidenceFileRecord | None:
        """The file that was kept for a "finding:KEY" or "violation:ID" since a time, if any."""

    def save(self, key: str, target: Path) -> Written:
        """Write the packets of such a key into a new file. NotYetError while they are being
        collected, PanotuiError.
        """


class StateProvider:
    """Frames and commands for a state that changes by itself (live, record, demo)."""

    def __init__(
        self,
        state: State,
        mode: str,
        *,
        recorder: Callable[[], RecorderRecord | None] = lambda: None,
        notice: Callable[[], str | None] = lambda: None,
        fatal: Callable[[], str | None] = lambda: None,
        notebook: Notebook | None = None,
        site_editor: SiteEditor | None = None,
        packets: Packets | None = None,
        export_folder: Path | None = None,
        times: Times | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.state = state
        self.mode = mode
        self._recorder = recorder
        self._notice = notice
        self._fatal = fatal
        self._notebook = notebook
        self._site_editor = site_editor
        self._packets = packets
        self.export_folder = export_folder
        self.times: Times | None = LiveTimes() if times is None else times
        self._clock = clock
        self._snapshot: Snapshot | None = None
        self._snapshot_at = 0.0
        self._held = HeldMoments()
        self._orders = HeldOrders()
        self._number = 0
        self._began_again_at: float | None = None

    # ------------------------------------------------------------------ views

    def snapshot(self) -> Snapshot:
        """The newest snapshot, or one that is hardly older."""
        now = self._clock()
        if self._snapshot is None or now - self._snapshot_at >= SNAPSHOT_AGE_S:
            self._snapshot = self._leading(self.state.snapshot())
            self._snapshot_at = now
        return self._snapshot

    def begin_again(self, state: State) -> None:
        """From here on frames show another state, which starts empty."""
        self.state = state
        self.times = LiveTimes()
        self._began_again_at = self._clock()
        self.forget_snapshot()

    def _leading(self, snapshot: Snapshot) -> Snapshot:
        """Packet numbers are shown only if they can be looked up."""
        if self._packets is None:
            return without_counts(snapshot)
        return with_evidence(snapshot, self._packets.of)

    def forget_snapshot(self) -> None:
        """Make the next frame from a new snapshot (after a command, a seek)."""
        self._snapshot = None

    def second(self, now_ns: int) -> None:
        """A second of packet time has passed: store the site's state for the strips."""
        if isinstance(self.times, LiveTimes):
            self.times.add(self.state.snapshot())

    def frame(self, view: View) -> Frame:
        state, snapshot, times = self.state, self.snapshot(), self.times
        if view.hold is not None:
            state, times = self._held.of(view.hold, state, snapshot, times)
            snapshot = state.snapshot()
        self._number += 1
        frame = self._pane(view, snapshot, state)
        detail = None if view.detail is None else self.detail(view.detail, snapshot, state)
        shown = None if view.strips is None else self._strips(view, view.strips, snapshot, times)
        return msgspec.structs.replace(frame, detail=detail, strips=shown)

    def _strips(
        self, view: View, asked: StripsView, snapshot: Snapshot, times: Times | None
    ) -> Strips | None:
        if times is None:
            return None
        if view.hold is not None and not asked.end_s:
            asked = msgspec.structs.replace(asked, end_s=snapshot.time_ns // SECOND)
        return strips(
            times, asked, snapshot.findings, lambda: self.events(snapshot), snapshot.endpoints,
            values_of(snapshot),
        )  # fmt: skip

    def header(self, snapshot: Snapshot, *, held: bool = False) -> Header:
        return Header(
            mode=self.mode,
            site=snapshot.site,
            time_ns=snapshot.time_ns,
            ports=tuple((p.name, p.role, p.state) for p in snapshot.ports),
            lost=snapshot.source.lost,
            packets=snapshot.source.packets,
            recorder=self._recorder() or snapshot.recorder,
            counts=snapshot.counts,
            limits=snapshot.limits,
            notice=self._notice() or (None if held else self._beginning()),
            fatal=self._fatal(),
            all_well_since_ns=snapshot.all_well_since_ns,
            review=self.review(),
        )

    def _beginning(self) -> str | None:
        """Shown while little has been seen since the restart."""
        began = self._began_again_at
        if began is None or self._clock() - began > BEGINNING_S:
            return None
        return "The demo begins again: in a few seconds all has been seen once more."

    def review(self) -> ReviewState | None:
        return None

    def detail(self, key: str, snapshot: Snapshot, state: State) -> Detail:
        """One thing, opened."""
        return detail_of(state, key, snapshot)

    def cut(self, pane: str, snapshot: Snapshot) -> str:
        """The rows that a pane leaves out, in words, or nothing."""
        if pane == "events" and snapshot.counts.events > len(snapshot.events):
            return f"newest {len(snapshot.events):,} of {snapshot.counts.events:,}"
        return ""

    def _pane(self, view: View, snapshot: Snapshot, state: State) -> Frame:
        base = Frame(
            number=self._number,
            view=view,
            header=self.header(snapshot, held=view.hold is not None),
            ports=snapshot.ports,
            cut=self.cut(view.pane, snapshot),
        )
        replace = msgspec.structs.replace
        if view.pane == "flows":
            flows = self._flows(view, state)
            return replace(_placed(base, flows), flows=flows.rows, folds=dict(flows.folds))
        pane = BY_NAME.get(view.pane)
        if pane is None:
            frame = _overview(base, snapshot, view.rows)
            if view.news:
                newest = sorted(self.events(snapshot), key=lambda e: (-e.time_ns, -e.number))
                frame = replace(frame, events=tuple(newest[: view.news]))
            return frame
        rows = self.events(snapshot) if pane is EVENTS else pane.rows(snapshot)
        found = page(rows, pane.record, view, self._orders)
        beside = _BESIDE.get(pane.name)
        return replace(
            _placed(base, found),
            **{pane.rows_in: tuple(map(pane.slim, found.rows))},
            **({} if beside is None else beside(snapshot, view)),
        )

    def _flows(self, view: View, state: State) -> Page[FlowRecord]:
        keep: Callable[[FlowRecord], bool] | None = None
        error: str | None = None
        follow = None if view.follow is None else view.follow.removeprefix("flow:")
        rows = max(0, min(view.rows, ROWS_MAX))
        if view.order is not None and view.first + rows <= ORDER_ROWS:
            return self._held_flows(view, state, rows)
        try:
            if view.filter.strip():
                keep = parse(view.filter).bounded(FlowRecord)
            found = state.flow_page(
                keep,
                view.sort,
                view.reverse,
                view.port,
                max(0, view.first),
                rows,
                follow,
                view.fold,
            )
        except FilterError as problem:
            error = str(problem)
            found = state.flow_page(
                None,
                view.sort,
                view.reverse,
                view.port,
                max(0, view.first),
                rows,
                follow,
                view.fold,
            )
        return found if error is None else msgspec.structs.replace(found, filter_error=error)

    def _held_flows(self, view: View, state: State, rows: int) -> Page[FlowRecord]:
        """Flows in a held order: the first ones, as far as an order is kept."""
        assert view.order is not None
        whole = msgspec.structs.replace(view, order=None, first=0, rows=0, follow=None)
        keep, error = None, None
        try:
            if whole.filter.strip():
                keep = parse(whole.filter).bounded(FlowRecord)
        except FilterError as problem:
            error = str(problem)
        found = state.flow_page(
            keep, view.sort, view.reverse, view.port, 0, ORDER_ROWS, None, view.fold
        )
        ordered = self._orders.of(view.order, found.rows, lambda flow: flow.id)
        shown = window(ordered, found.total, msgspec.structs.replace(view, rows=rows), error)
        return msgspec.structs.replace(shown, matched=found.matched, folds=found.folds)

    def events(self, snapshot: Snapshot) -> tuple[EventRecord, ...]:
        return snapshot.events

    # ------------------------------------------------------------------ commands

    def command(self, command: Command) -> Done:
        try:
            done = self._do(command)
        except NotYetError as error:
            done = Done(ok=False, text=printable(str(error), 300), pending=True)
        except PanotuiError as error:
            done = Done(ok=False, text=printable(str(error), 300))
        except OSError as error:
            done = Done(ok=False, text=f"{command.name}: {error.strerror or error}")
        self.forget_snapshot()
        return done

    def _do(self, command: Command) -> Done:
        if command.name in ("known", "unknown"):
            return self._mark_known(command)
        if command.name == "mark":
            return self._mark(command)
        if command.name == "accept":
            return self._accept(command)
        if command.name == "undo":
            if self._site_editor is None:
                return Done(ok=False, text="there is no site file here to change back")
            return Done(ok=True, text=self._site_editor.undo())
        if command.name == "evidence":
            return self._save_packets(command)
        if command.name == "export":
            return self._export(command)
        return Done(ok=False, text=f"{printable(command.name, 40)}: not possible here")

    def _mark_known(self, command: Command) -> Done:
        kind, _, name = command.key.partition(":")
        if kind not in ("violation", "finding") or not name:
            return Done(ok=False, text="only violations and findings are marked as known")
        is_known = command.name == "known"
        if not self.state.mark_known(command.key, is_known):
            return Done(ok=False, text=f"{MARKS_MAX:,} marks are set already")
        if self._notebook is not None:
            self._notebook.known(command.key, is_known)
        return Done(ok=True, text="marked as known" if is_known else "no longer marked as known")

    def _mark(self, command: Command) -> Done:
        text = printable(command.text, 200).strip()
        if not text:
            return Done(ok=False, text="a mark needs a word or two")
        if self._notebook is None:
            return Done(ok=False, text="marks are kept in a recording; nothing is recorded here")
        self._notebook.mark(command.time_ns or self.snapshot().time_ns, text)
        return Done(ok=True, text="mark set")

    def _accept(self, command: Command) -> Done:
        if self._site_editor is None:
            return Done(ok=False, text="there is no site file here to write it into")
        name = command.key.partition(":")[2] or command.key
        violation = next((v for v in self.snapshot().violations if v.id == name), None)
        if violation is None:
            return Done(ok=False, text="that violation is gone")
        return Done(ok=True, text=self._site_editor.accept(violation))

    def _save_packets(self, command: Command) -> Done:
        """Write the packets of `key` ("finding:KEY", "violation:ID") with their context."""
        if self._packets is None or self.export_folder is None:
            return Done(
                ok=False, text="no packets are kept here: `panotui record` keeps those that prove"
            )  # fmt: skip
        kind, _, name = command.key.partition(":")
        if kind not in ("violation", "finding") or not name:
            return Done(ok=False, text="only violations and findings have packets to save")
        path, written = write_packets(
            self.export_folder,
            command.key,
            self.snapshot().time_ns,
            partial(self._packets.save, command.key),
        )
        return Done(ok=True, text=written.text(str(path)), path=str(path))

    def _export(self, command: Command) -> Done:
        """`key` is a detail's key or a pane's name; `text` is the filter, preceded by `csv` or
        `json`.
        """
        if self.export_folder is None:
            return Done(ok=False, text="there is no folder here to export to")
        snapshot = self.snapshot()
        kind, _, filter_text = command.text.partition(" ")
        kind = kind or "csv"
        if ":" in command.key:
            detail = self.detail(command.key, snapshot, self.state)
            if detail.gone:
                return Done(ok=False, text="that is gone")
            path = write_detail(self.export_folder, detail, snapshot.time_ns)
            return Done(ok=True, text=f"written to {path}")
        if command.key not in BY_NAME:
            return Done(ok=False, text="only a table or a detail is exported")
        records: tuple[object, ...]
        if command.key == "flows":
            records = tuple(self.state.flow_records())
        elif command.key == "events":
            records = self.events(snapshot)
        else:
            records = tuple(BY_NAME[command.key].rows(snapshot))
        path, rows = write_table(
            self.export_folder, command.key, records, filter_text, kind, snapshot.time_ns
        )
        return Done(ok=True, text=f"{rows} rows written to {path}")


def _silent_cameras(snapshot: Snapshot, view: View) -> dict[str, Any]:
    """Cameras without a stream are shown beside the rows, and not counted among them."""
    silent = [camera for camera in snapshot.cameras if not camera.streams]
    cameras, error = matching(silent, CameraRecord, view)
    if error:
        cameras = []  # a field that only streams have, such as `codec:`
    worst, _ = worst_cameras(cameras, (), OVERVIEW_ROWS)
    return {"cameras": tuple(map(CAMERAS.slim, worst))}


def _names_and_time(snapshot: Snapshot, view: View) -> dict[str, Any]:
    return {"clock": snapshot.clock, "resolvers": snapshot.resolvers}


# additional data beside a pane's rows in its frame
_BESIDE: dict[str, Callable[[Snapshot, View], dict[str, Any]]] = {
    "streams": _silent_cameras,
    "endpoints": _names_and_time,
}


def _placed(frame: Frame, rows: Page[Any]) -> Frame:
    return msgspec.structs.replace(
        frame,
        total=rows.total,
        matched=rows.matched,
        first=rows.first,
        follow_row=rows.follow_row,
        filter_error=rows.filter_error,
    )


def _overview(frame: Frame, snapshot: Snapshot, rows: int) -> Frame:
    top = View(rows=OVERVIEW_ROWS)
    most = max(OVERVIEW_ROWS, min(rows, ROWS_MAX))
    cameras, streams = worst_cameras(snapshot.cameras, snapshot.streams, most)
    return msgspec.structs.replace(
        frame,
        ports=snapshot.ports,
        cameras=tuple(map(CAMERAS.slim, cameras)),
        streams=tuple(map(STREAMS.slim, streams)),
        endpoints=page(snapshot.endpoints, EndpointRecord, top).rows,
        clock=snapshot.clock,
        resolvers=snapshot.resolvers,
        violations=page(snapshot.violations, ViolationRecord, top).rows,
        findings=page(snapshot.findings, FindingRecord, top).rows,
    )
