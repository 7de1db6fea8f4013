"""`/healthz`, `/readyz` and `/metrics` over HTTP/1.1: three fixed answers, so no web framework."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

log = logging.getLogger(__name__)

_REASONS = {200: "OK", 404: "Not Found", 405: "Method Not Allowed", 503: "Service Unavailable"}
_REQUEST_SECONDS = 5.0


class HealthServer:
    """Serves on one address. `not_ready` gives the reason why the controller is not ready, "" if it is."""

    def __init__(self, registry: CollectorRegistry, not_ready: Callable[[], str]) -> None:
        self._registry = registry
        self._not_ready = not_ready
        self._server: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; the port in use. Raises OSError."""
        self._server = await asyncio.start_server(self._serve, host, port)
        bound: int = self._server.sockets[0].getsockname()[1]
        log.info("health and metrics on %s:%d", host, bound)
        return bound

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _REQUEST_SECONDS)
            words = head.split(b"\r\n", 1)[0].decode("ascii", "replace").split(" ")
            status, content_type, body = self._answer(words)
            writer.write(
                f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: {content_type}\r\n"
                f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
            )
            if words[0] != "HEAD":
                writer.write(body)
            await writer.drain()
        except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
            pass
        finally:
            writer.close()

    def _answer(self, words: list[str]) -> tuple[int, str, bytes]:
        plain = "text/plain; charset=utf-8"
        if words[0] not in ("GET", "HEAD") or len(words) < 2:
            return 405, plain, b"only GET\n"
        match words[1].split("?")[0]:
            case "/healthz":
                return 200, plain, b"ok\n"
            case "/readyz":
                reason = self._not_ready()
                return (503, plain, f"{reason}\n".encode()) if reason else (200, plain, b"ok\n")
            case "/metrics":
                return 200, CONTENT_TYPE_LATEST, generate_latest(self._registry)
            case _:
                return 404, plain, b"not found\n"
