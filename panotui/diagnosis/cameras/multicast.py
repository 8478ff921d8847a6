"""Multicast that stops because there is no IGMP querier: multicast-no-querier."""

from __future__ import annotations

from collections import OrderedDict

from panotui.diagnosis.facts import Facts, Observation, Rule, evidence
from panotui.diagnosis.thresholds import thresholds
from panotui.model import SECOND, AnyMessage, LinkControlMessage
from panotui.site.facts import Who

LIMITS = thresholds().cameras.multicast
GROUPS_MAX = 256


class QuerierRule(Rule):
    """See the module."""

    of_cameras = True
    hears = frozenset((LinkControlMessage,))

    def __init__(self) -> None:
        self._query_ns = 0
        self._reports: OrderedDict[str, tuple[int, int]] = OrderedDict()

    def observe(self, message: AnyMessage, facts: Facts) -> None:
        if not isinstance(message, LinkControlMessage):
            return
        if message.protocol == "igmp-query":
            self._query_ns = message.time_ns
        elif message.protocol == "igmp-report" and message.group:
            self._reports[message.group] = (message.time_ns, message.packet)
            while len(self._reports) > GROUPS_MAX:
                self._reports.popitem(last=False)

    def tick(self, facts: Facts) -> list[Observation]:
        out: list[Observation] = []
        for address, streams in facts.camera_streams.items():
            for stream in streams:
                group = stream.dst
                if not facts.view.who(group) & Who.MULTICAST or group not in self._reports:
                    continue
                reported, packet = self._reports[group]
                last = stream.row.last_ns
                stopped = facts.now_ns - last > LIMITS.stopped_ns
                after = (last - reported) / SECOND
                queried = self._query_ns and last - self._query_ns < LIMITS.queried_ns
                if not stopped or queried or not LIMITS.querier_s[0] < after < LIMITS.querier_s[1]:
                    continue
                out.append(
                    Observation(
                        "multicast-no-querier", group,
                        {"group": group, "seconds": f"{after:.0f}", "port": stream.port or "",
                         "stream": stream.key},
                        (
                            evidence(reported, packet, "last membership report"),
                            evidence(last, stream.row.last_packet, "last RTP packet"),
                        ),
                        last, last, stream=stream.key, camera=address,
                    )
                )  # fmt: skip
        return out
