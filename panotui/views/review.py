"""The same frames over a recording: a position in time that seeks, steps and plays.

While playing, the position moves with an injected clock; everything shown is the recording's
content at that position. Strips and gaps of the time line are read once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
from msgspec.structs import replace

from panotui.model import SECOND, EventRecord, FlowRecord, Snapshot
from panotui.model.page import Page
from panotui.recording.evidence_export import RecordingPackets
from panotui.recording.reader import EVENTS_SHOWN, FLOWS_MAX, Recording
from panotui.views import spans
from panotui.views.filter import FilterError, parse
from panotui.views.frames import Answer, Command, Detail, Done, ReviewState, View
from panotui.views.panes import flow_rows
from panotui.views.provider import StateProvider
from panotui.views.recorded_times import RecordedTimes
from panotui.views.state import Line, State

SPEED_MIN, SPEED_MAX = 0.1, 3600.0

Explainer = Callable[[FlowRecord], Sequence[Line]]


class RecordingState:
    """A `State` at a position of a recording."""

    def __init__(self, recording: Recording, explain: Explainer) -> None:
        self.recording = recording
        self._explain = explain
        self.position_ns = recording.newest_ns  # problems first, the steps to them in reverse
        self._flows: tuple[int, list[FlowRecord]] | None = None

    def snapshot(self) -> Snapshot:
        return self.recording.snapshot_at(self.position_ns)

    def mark_known(self, key: str, known: bool) -> bool:
        """For the time of this review only: nothing is written into the recording."""
        return self.recording.known.set(key, known)

    def flow_records(self) -> Sequence[FlowRecord]:
        second = self.position_ns // SECOND
        if self._flows is None or self._flows[0] != second:
            self._flows = (second, self.recording.flows_at(self.position_ns))
        return self._flows[1]

    def flow_page(
        self,
        keep: Callable[[FlowRecord], bool] | None = None,
        sort: str | None = None,
        reverse: bool = False,
        port: str | None = None,
        first: int = 0,
        rows: int = 50,
        follow: str | None = None,
        fold: bool = False,
    ) -> Page[FlowRecord]:
        """Visible rows of the flows at this time: (records, total, matched, first, follow)."""
        flows = self.flow_records()
        chosen = flows if keep is None else [flow for flow in flows if keep(flow)]
        view = View(
            sort=sort, reverse=reverse, port=port, first=first, rows=rows, follow=follow, fold=fold
        )
        return replace(flow_rows(chosen, view), total=len(flows))

    def flow(self, flow_id: str) -> FlowRecord | None:
        return self.recording.flow(self.position_ns, flow_id)

    def explain_flow(self, flow_id: str) -> Sequence[Line]:
        flow = self.flow(flow_id)
        return () if flow is None else self._explain(flow)


class ReviewProvider(StateProvider):
    """Frames of a recording, and commands that move in it."""

    def __init__(
        self,
        recording: Recording,
        *,
        explain: Explainer = lambda flow: (),
        mode: str = "review",
        loop: bool = False,
        export_folder: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._review_state = RecordingState(recording, explain)
        super().__init__(
            self._review_state,
            mode,
            export_folder=export_folder,
            times=RecordedTimes(recording),
            packets=RecordingPackets(recording),
            clock=clock,
        )
        self._recording = recording
        self._loop = loop
        self._playing = False
        self._speed = 1.0
        self._moved_at = clock()
        self._gaps = tuple(recording.gaps())
        self._marks = tuple(recording.event_marks())
        self._spans: Detail | None = None  # the last comparison
        self._event: int | None = None  # that was the target of a jump, while the position is there

    # ------------------------------------------------------------------ time

    def snapshot(self) -> Snapshot:
        self._advance()
        return super().snapshot()

    def review(self) -> ReviewState:
        return ReviewState(
            start_ns=self._recording.start_ns,
            end_ns=self._recording.end_ns,
            position_ns=self._review_state.position_ns,
            playing=self._playing,
            speed=self._speed,
            gaps=self._gaps,
            marks=self._marks,
            event=self._event,
        )

    def events(self, snapshot: Snapshot) -> tuple[EventRecord, ...]:
        return tuple(self._recording.events(known_by=self._review_state.position_ns))

    def cut(self, pane: str, snapshot: Snapshot) -> str:
        position = self._review_state.position_ns
        if pane == "events" and (total := self._recording.count_events(position)) > EVENTS_SHOWN:
            return f"newest {EVENTS_SHOWN:,} of {total:,}; older: ["
        if pane == "flows" and len(self._review_state.flow_records()) >= FLOWS_MAX:
            return f"newest {FLOWS_MAX:,} of {self._recording.count_flows_at(position):,}"
        return ""

    def detail(self, key: str, snapshot: Snapshot, state: State) -> Detail:
        """An event is opened wherever it is, however many came after it."""
        kind, _, number = key.partition(":")
        if kind == "spans":
            if self._spans is None or self._spans.key != key:
                self._spans = spans.detail(self._recording, key)
            return self._spans or super().detail(key, snapshot, state)
        if kind == "event" and number.isdecimal():
            event = self._recording.event(int(number))
            snapshot = msgspec.structs.replace(snapshot, events=() if event is None else (event,))
        return super().detail(key, snapshot, state)

    def _advance(self) -> None:
        now = self._clock()
        passed = now - self._moved_at
        self._moved_at = now
        if not self._playing:
            return
        position = self._review_state.position_ns + int(passed * self._speed * SECOND)
        if position >= self._recording.end_ns:
            position = self._recording.start_ns if self._loop else self._recording.end_ns
            self._playing = self._loop
        else:
            # There is nothing to show while the recorder was off: continue where it came back.
            position = next((b for a, b in self._gaps if a < position < b), position)
        self._place(position)

    def _place(self, position_ns: int) -> None:
        second = self._review_state.position_ns // SECOND
        self._event = None
        self._review_state.position_ns = max(
            self._recording.start_ns, min(position_ns, self._recording.end_ns)
        )
        if self._review_state.position_ns // SECOND != second:
            self.forget_snapshot()

    def play(self) -> None:
        self._playing = True

    # ------------------------------------------------------------------ commands

    def _do(self, command: Command) -> Done:
        if command.name not in _MOVES:
            return super()._do(command)
        self._advance()
        return _MOVES[command.name](self, command)

    def _seek(self, command: Command) -> Done:
        """Go to `time_ns`, or by `value` seconds from here if no time is given."""
        if command.time_ns:
            self._place(command.time_ns)
        else:
            step = max(-1e9, min(1e9, command.value)) if command.value == command.value else 0.0
            self._place(self._review_state.position_ns + int(step * SECOND))
        return Done(ok=True, text="")

    def _set_speed(self, command: Command) -> Done:
        if not SPEED_MIN <= command.value <= SPEED_MAX:
            return Done(ok=False, text=f"speed is between {SPEED_MIN:g} and {SPEED_MAX:g}")
        self._speed = command.value
        return Done(ok=True, text=f"speed x{self._speed:g}")

    def _play(self, command: Command) -> Done:
        if self._review_state.position_ns >= self._recording.end_ns:
            self._place(self._recording.start_ns)
        self._playing = True
        return Done(ok=True, text="playing")

    def _pause(self, command: Command) -> Done:
        self._playing = False
        return Done(ok=True, text="paused")

    def _to_event(self, command: Command) -> Done:
        """Go to the state that first shows the next event; `Done.key` is the key of its row."""
        forward = command.name == "next-event"
        stop = self._recording.next_stop(
            self._review_state.position_ns, self._event, forward=forward
        )
        if stop is None:
            return Done(ok=False, text="no more events" if forward else "no earlier event")
        return self._led_to(*stop)

    def _led_to(self, time_ns: int, number: int | None) -> Done:
        self._playing = False
        self._place(time_ns)
        self._event = number
        return Done(ok=True, text="", key="" if number is None else f"event:{number}")

    def _find(self, command: Command) -> Done:
        """Go to the next event in the whole recording that passes a filter (`text`)."""
        forward = command.name == "find-next"
        try:
            keep = parse(command.text).bounded(EventRecord)
            found = self._recording.find(
                keep, self._review_state.position_ns, self._event, forward=forward
            )
        except FilterError as error:
            return Done(ok=False, text=f"filter: {error}")
        if found is None:
            where = "after this" if forward else "before this"
            return Done(ok=False, text=f"no event {where} passes {command.text}")
        return self._led_to(*found)


_MOVES: dict[str, Callable[[ReviewProvider, Command], Done]] = {
    "seek": ReviewProvider._seek,
    "speed": ReviewProvider._set_speed,
    "play": ReviewProvider._play,
    "pause": ReviewProvider._pause,
    "next-event": ReviewProvider._to_event,
    "previous-event": ReviewProvider._to_event,
    "find-next": ReviewProvider._find,
    "find-previous": ReviewProvider._find,
}


class LocalClient:
    """`ask` without a socket, for a screen in the same process."""

    def __init__(self, provider: StateProvider) -> None:
        self._provider = provider

    async def ask(self, request: View | Command) -> Answer:
        if isinstance(request, Command):
            return self._provider.command(request)
        return self._provider.frame(request)

    async def close(self) -> None:
        return None
