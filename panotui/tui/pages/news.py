"""The newest events beside an overview, newest first."""

from __future__ import annotations

from panotui.tui.cells import cut_end
from panotui.tui.glyphs import look
from panotui.tui.page import Page, Scene


def draw(scene: Scene) -> Page:
    """As many as there is room for under the heading."""
    page = Page([scene.pen().put(" ").put("NEWEST", "head").line()])
    for event in scene.frame.events[: scene.height - 1]:
        pen = scene.pen().put(f" {scene.when(event.time_ns)} ", "dim")
        pen.put(*scene.mark(look(event.severity))).put(" ")
        before, subject = "", event.subject
        after = f": {event.text}" if subject else event.text
        at = event.text.lower().find(subject.lower()) if subject else -1
        if at >= 0:  # most sentences name it themselves
            stop = at + len(subject)
            before, subject, after = event.text[:at], event.text[at:stop], event.text[stop:]
        pen.put(before).put(subject, "strong")
        page.lines.append(pen.put(cut_end(after, pen.room - 1, scene.glyphs.ellipsis)).line())
    if not scene.frame.events:
        asked = scene.frame.view.news > 0
        said = "nothing has happened yet" if asked else "waiting for the collector"
        page.lines.append(scene.pen().put(f" {said}", "dim").line())
    return page.fill(scene.width, scene.height)
