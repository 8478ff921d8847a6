"""The key of a row across frames and recordings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import Any

from panotui.model import EndpointRecord, EventRecord, FindingRecord


def by_id(record: Any) -> str:
    return str(record.id)


def by_name(record: Any) -> str:
    return str(record.name)


def endpoint_key(endpoint: EndpointRecord) -> str:
    return f"{endpoint.service}/{endpoint.host}/{endpoint.port}"


def endpoint_names(endpoints: Collection[EndpointRecord]) -> dict[str, str]:
    """Names of endpoints by their keys: two of one service are distinguished by the beginning of
    their hosts.
    """
    counts = Counter(e.label or e.service for e in endpoints)
    names = {}
    for endpoint in endpoints:
        name = endpoint.label or endpoint.service
        if counts[name] > 1:
            which = endpoint.host if endpoint.port == 53 else endpoint.host.partition(".")[0]
            name = f"{name} {which}"
        names[endpoint_key(endpoint)] = name
    return names


def finding_key(finding: FindingRecord) -> str:
    return finding.name


def sentence_of(event: EventRecord) -> str:
    """An event in one line: its subject first, unless its text names it."""
    named = event.subject.lower() in event.text.lower()
    return event.text if named or not event.subject else f"{event.subject}: {event.text}"
