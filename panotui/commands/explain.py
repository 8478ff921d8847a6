"""Explains the verdict of a recorded flow: the recorded reason, and the policy's rules for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from panotui.errors import PanotuiError
from panotui.model import FlowRecord, Site

Line = tuple[str, str]


def explainer(site: Site) -> Callable[[FlowRecord], Sequence[Line]]:
    """Explains flows of a recording by the site file that it was made with."""
    from panotui.policy.queries.explain import explain
    from panotui.site.view import SiteView

    view = SiteView(site)

    def lines(flow: FlowRecord) -> Sequence[Line]:
        if flow.dport is None or flow.verdict == "infrastructure":
            return ()
        inward = flow.reason == "inbound"
        try:
            said = explain(
                view,
                flow.src if inward else flow.host or flow.dst,
                flow.dport,
                flow.transport,
                direction="in" if inward else "out",
            )
        except PanotuiError:
            return ()
        found: list[Line] = [("policy", said.text)] if said.text else []
        found += [("nearest", text) for text in said.nearest]
        if said.suggestion and flow.verdict == "violation":
            found.append(("to allow it", said.suggestion))
        return found

    return lines
