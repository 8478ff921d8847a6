"""Writes docs/metrics/grafana.json: `python docs/metrics/make_dashboard.py`.

`dashboard()` is the content; a test compares it with the file. Grafana asks for the Prometheus data
source when the file is imported.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SITE = '{site=~"$site"}'
STATES = [{"type": "value", "options": {"0": {"text": "no", "color": "red"},
                                        "1": {"text": "yes", "color": "green"}}}]  # fmt: skip
# title, kind, unit, width of 24, (query, legend)...
PANELS: tuple[tuple[str, str, str, int, tuple[tuple[str, str], ...]], ...] = (
    ("Recorder answers", "stat", "bool", 4, (("panotui_recorder_up", "{{instance}}"),)),
    ("Cameras well", "stat", "none", 4, ((f"sum(panotui_camera_ok{SITE})", "cameras"),)),
    (
        "Open errors", "stat", "none", 4,
        (('sum(panotui_findings_open{site=~"$site",severity="error"}) or vector(0)', "errors"),),
    ),
    ("Open violations", "stat", "none", 4, ((f"sum(panotui_violations_open{SITE})", "open"),)),
    (
        "Packets missed by the capture", "stat", "none", 4,
        ((f"sum(increase(panotui_capture_lost_packets_total{SITE}[1h]))", "in an hour"),),
    ),
    ("Recording", "stat", "bytes", 4, ((f"panotui_recording_bytes{SITE}", "{{site}}"),)),
    (
        "Cameras", "state-timeline", "bool", 24,
        ((f"panotui_camera_ok{SITE}", "{{site}} {{camera}}"),),
    ),
    (
        "Endpoints", "state-timeline", "bool", 24,
        ((f"panotui_endpoint_reachable{SITE}", "{{site}} {{service}} {{host}}:{{port}}"),),
    ),
    (
        "Bit-rate of cameras", "timeseries", "bps", 12,
        ((f"panotui_camera_bits_per_second{SITE}", "{{site}} {{camera}}"),),
    ),
    (
        "Loss of cameras", "timeseries", "percentunit", 12,
        (
            (
                f"rate(panotui_camera_lost_packets_total{SITE}[1m])"
                f" / (rate(panotui_camera_lost_packets_total{SITE}[1m])"
                f" + rate(panotui_camera_packets_total{SITE}[1m]))",
                "{{site}} {{camera}}",
            ),
        ),
    ),
    (
        "Ports", "timeseries", "Bps", 12,
        ((f"rate(panotui_port_bytes_total{SITE}[1m])", "{{site}} {{port}} {{direction}}"),),
    ),
    (
        "Round trips", "timeseries", "s", 12,
        ((f"panotui_endpoint_round_trip_seconds{SITE}", "{{site}} {{service}} {{host}}"),),
    ),
    (
        "Findings", "timeseries", "none", 24,
        ((f"panotui_findings_open{SITE}", "{{site}} {{finding}} ({{severity}})"),),
    ),
)  # fmt: skip
HEIGHTS = {"stat": 4, "state-timeline": 8, "timeseries": 8}


def dashboard() -> dict[str, Any]:
    """The dashboard as Grafana's JSON model (schema version 39)."""
    source = {"type": "prometheus", "uid": "${DS_PROMETHEUS}"}
    panels = []
    x = y = height = 0
    for number, (title, kind, unit, width, targets) in enumerate(PANELS, 1):
        if x + width > 24:
            x, y = 0, y + height
        height = HEIGHTS[kind]
        panels.append(
            {
                "id": number, "title": title, "type": kind, "datasource": source,
                "gridPos": {"h": height, "w": width, "x": x, "y": y},
                "fieldConfig": {
                    "defaults": {"unit": unit, "mappings": STATES if unit == "bool" else []},
                    "overrides": [],
                },
                "options": {"legend": {"displayMode": "list", "placement": "bottom"}}
                if kind != "stat" else {"reduceOptions": {"calcs": ["lastNotNull"]}},
                "targets": [
                    {
                        "refId": chr(65 + i), "expr": query, "legendFormat": legend,
                        "datasource": source,
                    }
                    for i, (query, legend) in enumerate(targets)
                ],
            }
        )  # fmt: skip
        x += width
    return {
        "__inputs": [
            {"name": "DS_PROMETHEUS", "label": "Prometheus", "type": "datasource",
             "pluginId": "prometheus", "pluginName": "Prometheus"}
        ],
        "title": "Panotui", "uid": "panotui", "schemaVersion": 39, "version": 1, "editable": True,
        "refresh": "10s", "time": {"from": "now-6h", "to": "now"}, "timezone": "browser",
        "tags": ["panotui"],
        "templating": {
            "list": [
                {
                    "name": "site", "type": "query", "datasource": source, "includeAll": True,
                    "multi": True, "refresh": 2, "query": "label_values(panotui_flows, site)",
                    "definition": "label_values(panotui_flows, site)",
                    "current": {"text": "All", "value": "$__all"},
                }
            ]
        },
        "panels": panels,
    }  # fmt: skip


def text() -> str:
    """What the file holds."""
    return json.dumps(dashboard(), indent=1) + "\n"


if __name__ == "__main__":
    Path(__file__).with_name("grafana.json").write_text(text(), encoding="utf-8")
