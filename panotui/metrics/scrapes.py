"""The HTTP server for Prometheus: one port, one thread per request."""

from __future__ import annotations

import socket
from socketserver import TCPServer, ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app

from panotui.metrics.openmetrics import Recorder, RecorderCollector


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def server_bind(self) -> None:
        TCPServer.server_bind(self)  # the others would resolve the address's name
        self.server_name = str(self.server_address[0])
        self.server_port = int(self.server_address[1])
        self.setup_environ()


class _ServerOf6(_Server):
    address_family = socket.AF_INET6


class _Handler(WSGIRequestHandler):
    """Does not log requests."""

    def log_message(self, format: str, *args: object) -> None:
        pass


def server(recorder: Recorder, address: str, port: int) -> WSGIServer:
    """Bound and listening; `serve_forever` answers requests. OSError if the port is not available;
    0 takes a free one.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(RecorderCollector(recorder))
    kind = _ServerOf6 if ":" in address else _Server
    return make_server(address, port, make_wsgi_app(registry), kind, _Handler)
