"""The servers behind healthCheckNodePort, which a load balancer asks whether this node has endpoints of a Service.

As kube-proxy's: 200 or 503, with a JSON body that says of which Service and how many.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

import msgspec

from controlplane.desired.health_checks import HealthCheck
from controlplane.httpd import JSON, HttpServer, Request, Response

log = logging.getLogger(__name__)


class _ServiceName(msgspec.Struct, frozen=True):
    namespace: str
    name: str


class _Body(msgspec.Struct, frozen=True, rename="camel"):
    service: _ServiceName
    local_endpoints: int
    service_proxy_healthy: bool = True


class _Served:
    def __init__(self, check: HealthCheck) -> None:
        self.check = check
        self.server = HttpServer(self._answer)

    async def _answer(self, request: Request) -> Response:
        check = self.check
        body = msgspec.json.encode(_Body(_ServiceName(check.namespace, check.name), check.local_endpoints))
        weight = (("X-Load-Balancing-Endpoint-Weight", str(check.local_endpoints)),)
        return Response(200 if check.local_endpoints else 503, body, JSON, weight)


class HealthCheckServers:
    """One server a port, on all of the host's addresses."""

    def __init__(self, host: str | None = None) -> None:
        self._host = host
        self._served: dict[int, _Served] = {}
        self._refused: set[int] = set()

    @property
    def ports(self) -> list[int]:
        """The ports that are served."""
        return sorted(self._served)

    async def apply(self, wanted: Mapping[int, HealthCheck]) -> None:
        """Serve these, and no others. A port that cannot be had is logged, and tried again next time."""
        for port in [port for port in self._served if port not in wanted]:
            await self._served.pop(port).server.close()
        for port, check in wanted.items():
            if port in self._served:
                self._served[port].check = check
                continue
            served = _Served(check)
            try:
                await served.server.start(self._host, port)
            except OSError as error:
                if port not in self._refused:
                    log.error(
                        "Service/%s/%s: healthCheckNodePort %d cannot be served: %s",
                        check.namespace, check.name, port, error.strerror or error,
                    )  # fmt: skip
                self._refused.add(port)
                continue
            self._refused.discard(port)
            self._served[port] = served

    async def close(self) -> None:
        await self.apply({})
