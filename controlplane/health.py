"""`/healthz`, `/livez`, `/readyz` and `/metrics`."""

from __future__ import annotations

import logging
from collections.abc import Callable

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from controlplane.httpd import HttpServer, Request, Response

log = logging.getLogger(__name__)

METRICS = frozenset({"/metrics"})
HEALTH = frozenset({"/healthz", "/livez", "/readyz"})


class HealthServer:
    """Serves the given paths on one address. `not_ready` gives the reason why the controller is not ready, "" if it is."""

    def __init__(
        self, registry: CollectorRegistry, not_ready: Callable[[], str], paths: frozenset[str] = METRICS | HEALTH
    ) -> None:
        self._registry = registry
        self._not_ready = not_ready
        self._paths = paths
        self._server = HttpServer(self._answer)

    async def start(self, host: str, port: int) -> int:
        """Listen; the port in use. Raises OSError."""
        bound = await self._server.start(host, port)
        what = " and ".join(
            name for name, paths in (("health", HEALTH), ("metrics", METRICS)) if not paths.isdisjoint(self._paths)
        )
        log.info("%s on %s:%d", what, host, bound)
        return bound

    async def close(self) -> None:
        await self._server.close()

    async def _answer(self, request: Request) -> Response:
        if request.path not in self._paths:
            return Response(404, b"not found\n")
        match request.path:
            case "/readyz":
                reason = self._not_ready()
                return Response(503, f"{reason}\n".encode()) if reason else Response(200, b"ok\n")
            case "/metrics":
                return Response(200, generate_latest(self._registry), CONTENT_TYPE_LATEST)
            case _:
                return Response(200, b"ok\n")
