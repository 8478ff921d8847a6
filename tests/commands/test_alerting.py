"""Alerts leave while packets are read: to a file, to syslog and to a webhook on loopback."""

from __future__ import annotations

import http.server
import json
import socket
import threading
from pathlib import Path

import pytest

from panotui import sources
from panotui.commands.alerting import Alerts
from panotui.commands.input import open_captures
from panotui.engine.engine import Engine
from panotui.errors import UsageError
from panotui.runtime.pump import Pump
from panotui.site.file import parse_site

DEMO = Path(sources.__file__).parent / "demo"


def test_the_same_news_goes_to_file_syslog_and_webhook(tmp_path: Path) -> None:
    bodies: list[dict[str, str]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            return

    web = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=web.serve_forever, daemon=True)
    thread.start()
    path = tmp_path / "alerts.ndjson"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as syslog:
        syslog.bind(("127.0.0.1", 0))
        syslog.settimeout(5)
        alerts = Alerts(
            str(path),
            f"127.0.0.1:{syslog.getsockname()[1]}",
            f"http://127.0.0.1:{web.server_port}/",
        )
        captures = open_captures([str(DEMO / "site.pcapng.zst")])
        pump = Pump(captures, Engine(parse_site((DEMO / "site.toml").read_text("utf-8"))))
        alerts.start(pump)
        pump.run()
        alerts.close()
        written = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        told = [syslog.recv(4096).decode() for _ in written]
    web.shutdown()
    web.server_close()
    thread.join(5)
    captures[0].close()
    assert [w["id"] for w in written].count("stream-leak") >= 1
    assert {"violation", "finding", "cleared"} <= {w["type"] for w in written}
    assert bodies == written
    assert all(w["id"] in line for w, line in zip(written, told, strict=True))
    assert len({(w["type"], w["id"], w["subject"], w["time"]) for w in written}) == len(written)


def test_a_file_that_cannot_be_opened_is_told_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--alerts"):
        Alerts(str(tmp_path / "no" / "such"), None, None)
