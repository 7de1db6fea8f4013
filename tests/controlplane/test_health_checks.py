"""healthCheckNodePort: who is asked, and what is answered."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any

import pytest

from controlplane.desired.health_checks import HealthCheck
from controlplane.health_checks import HealthCheckServers
from tests.controlplane.cluster import NODE_NAME, derive, ref_of, service_value, slice_value
from tests.ports import free_port


def endpoint(address: str, node: str = NODE_NAME, **conditions: bool) -> dict[str, Any]:
    return {"addresses": [address], "nodeName": node, "conditions": conditions}


def service(policy: str = "Local", port: int = 30100) -> dict[str, Any]:
    return service_value(type="LoadBalancer", externalTrafficPolicy=policy, healthCheckNodePort=port)


@pytest.mark.parametrize(
    ("endpoints", "local"),
    [
        ([], 0),
        ([endpoint("10.1.0.1")], 1),
        ([endpoint("10.1.0.1"), endpoint("10.1.0.2", ready=True), endpoint("10.1.0.3", "node-b")], 2),
        ([endpoint("10.1.0.1", ready=False)], 0),
        ([endpoint("10.1.0.1", ready=False, serving=True, terminating=True)], 0),
        ([endpoint("10.1.0.1", ready=True, terminating=True)], 0),
    ],
)
def test_only_local_endpoints_that_are_ready_count(endpoints: list[Any], local: int) -> None:
    derivation = derive([service(), slice_value(endpoints=endpoints)])
    assert derivation.health_checks.take() == {30100: HealthCheck(30100, "shop", "web", local)}


def test_external_traffic_policy_cluster_has_none_and_a_service_that_goes_takes_its_own_along() -> None:
    assert derive([service("Cluster")]).health_checks.take() == {}
    derivation = derive([service()])
    assert derivation.health_checks.take()
    derivation.apply(ref_of(service()), None)
    derivation.settle()
    assert derivation.health_checks.has_changed and not derivation.health_checks.take()
    assert "is not a port number" in str(derive([service(port=70000)]).problems)


async def ask(port: int) -> tuple[int, dict[str, str], Any]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines[1:])
    return int(lines[0].split()[1]), headers, json.loads(body)


def test_the_answers_are_kube_proxys() -> None:
    async def test() -> None:
        servers = HealthCheckServers("127.0.0.1")
        port = free_port()
        await servers.apply({port: HealthCheck(port, "shop", "web", 2)})
        status, headers, body = await ask(port)
        assert status == 200 and headers["Content-Type"] == "application/json"
        assert headers["X-Load-Balancing-Endpoint-Weight"] == "2"
        wanted = {"service": {"namespace": "shop", "name": "web"}, "localEndpoints": 2, "serviceProxyHealthy": True}
        assert body == wanted
        await servers.apply({port: HealthCheck(port, "shop", "web", 0)})
        status, _, body = await ask(port)
        assert status == 503 and body["localEndpoints"] == 0
        await servers.apply({})
        with pytest.raises(OSError):
            await ask(port)
        await servers.close()

    asyncio.run(asyncio.wait_for(test(), 100))


def test_a_port_that_is_taken_is_logged_and_had_when_it_is_free(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        servers = HealthCheckServers("127.0.0.1")
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            await servers.apply({port: HealthCheck(port, "shop", "web", 1)})
            await servers.apply({port: HealthCheck(port, "shop", "web", 2)})
            assert not servers.ports
        await servers.apply({port: HealthCheck(port, "shop", "web", 2)})
        assert servers.ports == [port]
        await servers.close()

    asyncio.run(asyncio.wait_for(test(), 100))
    assert caplog.text.count("healthCheckNodePort") == 1
