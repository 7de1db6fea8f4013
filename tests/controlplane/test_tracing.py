"""Tracing: off without an endpoint; with one, spans arrive, or what is missing is said."""

from __future__ import annotations

import http.server
import importlib.util
import threading
import time

import pytest

from controlplane.tracing import TracingError, make_spans, no_span


def test_without_an_endpoint_nothing_is_imported_or_done() -> None:
    span = make_spans(None, "node-a")
    assert span is no_span
    with span("synchronize full", entries=1):
        pass


@pytest.mark.skipif(importlib.util.find_spec("opentelemetry") is not None, reason="the extra is installed")
def test_a_missing_extra_is_named() -> None:
    with pytest.raises(TracingError, match=r"kulvert\[otel\]"):
        make_spans("http://127.0.0.1:4318", "node-a")


@pytest.mark.skipif(importlib.util.find_spec("opentelemetry") is None, reason="the extra otel is not installed")
def test_spans_arrive() -> None:
    paths: list[str] = []

    class Collector(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            paths.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Collector) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with make_spans(f"http://127.0.0.1:{server.server_port}", "node-a")("synchronize change", entries=3):
            pass
        deadline = time.monotonic() + 100
        while not paths and time.monotonic() < deadline:
            time.sleep(0.05)
        server.shutdown()
    assert paths == ["/v1/traces"]
