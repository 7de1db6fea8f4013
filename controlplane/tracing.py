"""OpenTelemetry spans around what the controller does to the switch, if the extra `otel` is installed and an endpoint is given."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

SpanMaker = Callable[..., contextlib.AbstractContextManager[Any]]
"""Called as (name, **attributes)."""


class TracingError(ValueError):
    """Traces are asked for and cannot be sent. `str()` is one line for the user."""


def no_span(name: str, **attributes: object) -> contextlib.AbstractContextManager[Any]:
    """What is done without tracing: nothing."""
    return contextlib.nullcontext()


def make_spans(endpoint: str | None, node: str) -> SpanMaker:
    """Spans that are sent to `endpoint` (OTLP over HTTP) in the background; `no_span` without one.

    Raises:
        TracingError: the packages are not there.
    """
    if endpoint is None:
        return no_span
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        raise TracingError("an OTLP endpoint needs the extra: pip install 'kulvert[otel]'") from None
    resource = Resource.create({"service.name": "kulvert-controller", "k8s.node.name": node})
    provider = TracerProvider(resource=resource)
    exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=5)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    tracer = provider.get_tracer("kulvert")

    def span(name: str, **attributes: Any) -> contextlib.AbstractContextManager[Any]:
        started: contextlib.AbstractContextManager[Any] = tracer.start_as_current_span(name, attributes=attributes)
        return started

    return span
