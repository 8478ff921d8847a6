"""The key of a row across frames and recordings."""

from __future__ import annotations

from typing import Any

from panotui.model import EndpointRecord, FindingRecord


def by_id(record: Any) -> str:
    return str(record.id)


def by_name(record: Any) -> str:
    return str(record.name)


def endpoint_key(endpoint: EndpointRecord) -> str:
    return f"{endpoint.service}/{endpoint.host}/{endpoint.port}"


def finding_key(finding: FindingRecord) -> str:
    return finding.name
