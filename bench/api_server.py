"""A Kubernetes API server's lists and watches over a made-up cluster, for measuring the controller against.

A process of its own, so that its work and memory are not the controller's. `POST /bench/change` makes one change; its answer
is the moment (of the monotonic clock, which all processes share) at which the watch event was on its way.

python -m bench.api_server --services N --endpoints M | --policies N --pods M
"""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import json
import time
from collections.abc import Iterator
from typing import Any

from aiohttp import web

NODE = "node-0"
LOCAL_PODS = 110
PODS_PER_NAMESPACE = 100

_PATHS = {
    "/api/v1/namespaces": "Namespace",
    "/api/v1/nodes": "Node",
    "/api/v1/pods": "Pod",
    "/api/v1/services": "Service",
    "/apis/discovery.k8s.io/v1/endpointslices": "EndpointSlice",
    "/apis/networking.k8s.io/v1/networkpolicies": "NetworkPolicy",
    "/apis/networking.k8s.io/v1/servicecidrs": "ServiceCIDR",
}
_MAX_SLICE = 100


def _address(base: str, offset: int) -> str:
    return str(ipaddress.ip_address(base) + offset)


def service(number: int) -> dict[str, Any]:
    ip = _address("10.96.0.1", number)
    return {
        "kind": "Service",
        "metadata": {"name": f"service-{number}", "namespace": f"ns-{number % 100}", "uid": f"u-{number}"},
        "spec": {"clusterIP": ip, "clusterIPs": [ip], "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080}]},
    }  # fmt: skip


def slices(number: int, endpoints: int, generation: int = 0) -> Iterator[dict[str, Any]]:
    """The slices of a Service; with a `generation` its first endpoint is another one."""
    first = number * endpoints
    addresses = [_address("11.0.0.1", first + index) for index in range(endpoints)]
    if generation:
        addresses[0] = _address("172.16.0.1", generation)
    for start in range(0, endpoints, _MAX_SLICE):
        yield {
            "kind": "EndpointSlice",
            "metadata": {
                "name": f"service-{number}-{start}",
                "namespace": f"ns-{number % 100}",
                "labels": {"kubernetes.io/service-name": f"service-{number}", "endpointslice.kubernetes.io/managed-by": "x"},
            },
            "addressType": "IPv4",
            "endpoints": [
                {
                    "addresses": [address],
                    "conditions": {"ready": True, "serving": True, "terminating": False},
                    "nodeName": f"node-{index % 100}",
                    "targetRef": {"kind": "Pod", "name": f"pod-{address}", "namespace": "ns"},
                    "zone": "a",
                }
                for index, address in enumerate(addresses[start : start + _MAX_SLICE])
            ],
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        }  # fmt: skip


def pod(number: int) -> dict[str, Any]:
    """The first LOCAL_PODS are this node's. A quarter of a namespace's pods share their labels."""
    ip = _address("10.128.0.1", number)
    local = number < LOCAL_PODS
    return {
        "kind": "Pod",
        "metadata": {
            "name": f"pod-{number}",
            "namespace": f"ns-{number // PODS_PER_NAMESPACE}",
            "labels": {"app": f"app-{number % 10}", "pod-template-hash": f"h{number % 25}"},
            "annotations": {"kulvert.dev/port": str(number + 1), "kulvert.dev/mac": f"02:00:00:00:00:{number + 1:02x}"}
            if local
            else {},
        },
        "spec": {
            "nodeName": NODE if local else f"node-{1 + number % 99}",
            "containers": [{"name": "main", "image": "x", "ports": [{"name": "http", "containerPort": 8080}]}],
        },
        "status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}]},
    }


def policy(number: int, namespaces: int) -> dict[str, Any]:
    """Each admits one app of its namespace, and one of another namespace, to another app."""
    return {
        "kind": "NetworkPolicy",
        "metadata": {"name": f"policy-{number}", "namespace": f"ns-{number % namespaces}"},
        "spec": {
            "podSelector": {"matchLabels": {"app": f"app-{number // namespaces % 10}"}},
            "policyTypes": ["Ingress"],
            "ingress": [
                {
                    "from": [
                        {"podSelector": {"matchLabels": {"app": f"app-{(number + 1) % 10}"}}},
                        {
                            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": f"ns-{(number + 1) % namespaces}"}},
                            "podSelector": {"matchLabels": {"app": f"app-{(number + 2) % 10}"}},
                        },
                    ],
                    "ports": [{"protocol": "TCP", "port": 8080}],
                }
            ],
        },
    }  # fmt: skip


class Cluster:
    """The objects as JSON by kind and key, and those who watch."""

    def __init__(self, services: int, endpoints: int, policies: int, pods: int) -> None:
        self.endpoints = endpoints
        self.version = 1
        self.objects: dict[str, dict[str, bytes]] = {kind: {} for kind in _PATHS.values()}
        self.watchers: dict[str, list[asyncio.Queue[bytes]]] = {kind: [] for kind in _PATHS.values()}
        self.add(
            {"kind": "Node", "metadata": {"name": NODE}, "spec": {"podCIDRs": ["10.128.0.0/16"]},
             "status": {"addresses": [{"type": "InternalIP", "address": "192.0.2.1"}]}}
        )  # fmt: skip
        for number in range(services):
            self.add(service(number))
            for item in slices(number, endpoints):
                self.add(item)
        namespaces = max(1, pods // PODS_PER_NAMESPACE)
        for number in range(pods):
            self.add(pod(number))
        for number in range(policies):
            self.add(policy(number, namespaces))

    def add(self, value: dict[str, Any]) -> bytes:
        self.version += 1
        metadata = value["metadata"]
        metadata["resourceVersion"] = str(self.version)
        data = json.dumps(value).encode()
        self.objects[value["kind"]][f"{metadata.get('namespace', '')}/{metadata['name']}"] = data
        return data

    def change(self, value: dict[str, Any]) -> float:
        """Store it, tell the watchers; when that was."""
        data = self.add(value)
        line = b'{"type":"MODIFIED","object":' + data + b"}\n"
        at = time.monotonic()
        for queue in self.watchers[value["kind"]]:
            queue.put_nowait(line)
        return at

    async def list_or_watch(self, request: web.Request) -> web.StreamResponse:
        kind = _PATHS.get(request.path)
        if kind is None:
            return web.json_response({"kind": "Status", "code": 404, "message": "no such resource"}, status=404)
        if "watch" in request.query:
            return await self._watch(request, kind)
        items = list(self.objects[kind].values())
        start, limit = int(request.query.get("continue", "0")), int(request.query.get("limit", "500"))
        metadata = {"resourceVersion": str(self.version)}
        if start + limit < len(items):
            metadata["continue"] = str(start + limit)
        body = (
            b'{"metadata":'
            + json.dumps(metadata).encode()
            + b',"items":['
            + b",".join(items[start : start + limit])
            + b"]}"
        )
        return web.Response(body=body, content_type="application/json")

    async def _watch(self, request: web.Request, kind: str) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        queue: asyncio.Queue[bytes] = asyncio.Queue()
        self.watchers[kind].append(queue)
        try:
            while True:
                await response.write(await queue.get())
        except ConnectionResetError:
            return response  # whoever watched has gone
        finally:
            self.watchers[kind].remove(queue)

    async def bench_change(self, request: web.Request) -> web.Response:
        body = await request.json()
        number = body["number"]
        match body["what"]:
            case "endpoint":
                at = self.change(next(slices(number, self.endpoints, body["generation"])))
            case "service":
                at = self.change(next(slices(number, self.endpoints)))
                self.change(service(number))
            case "pod":
                at = self.change(pod(number))
            case _:
                return web.json_response({"message": "no such change"}, status=400)
        return web.json_response({"at": at})


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.api_server")
    for name in ("services", "endpoints", "policies", "pods"):
        parser.add_argument(f"--{name}", type=int, default=0)
    arguments = parser.parse_args()
    cluster = Cluster(arguments.services, arguments.endpoints, arguments.policies, arguments.pods)

    async def serve() -> None:
        app = web.Application()
        app.router.add_post("/bench/change", cluster.bench_change)
        app.router.add_get("/{path:.*}", cluster.list_or_watch)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        print(runner.addresses[0][1], flush=True)
        await asyncio.Event().wait()

    asyncio.run(serve())


if __name__ == "__main__":
    main()
