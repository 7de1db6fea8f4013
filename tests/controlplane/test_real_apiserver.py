"""The controller against real Kubernetes servers, where they are on the PATH: what the tests' own API server only imitates."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf import text_format
from kubernetes_asyncio.config import incluster_config

from controlplane.app import Controller, ControllerOptions
from controlplane.desired.entities import describe
from controlplane.kube import apiserver
from controlplane.kube.apiserver import ApiServerSource
from controlplane.kube.objects import RESOURCES, ObjectRef, Resource
from controlplane.p4rt.connection import Target
from kulvert.cli import run as kulvert
from kulvert.inspection.switch import Switch
from p4base.messages import p4r
from tests.controlplane.cluster import (
    cluster_policy_value,
    endpoint,
    namespace_value,
    node_value,
    pod_value,
    policy_value,
    service_cidr_value,
    service_value,
    slice_value,
)
from tests.controlplane.fake_switch import FakeSwitch
from tests.controlplane.pipeline import make_p4info
from tests.controlplane.real_cluster import RealCluster, missing_programs, real_cluster
from tests.controlplane.test_app import switch as fake_switch
from tests.controlplane.test_reconcile import switch as switch_in_memory
from tests.kulvert.node import Node, running_node
from tests.kulvert.test_deploy import DEPLOY, OVERLAYS, resources
from tests.p4switch.test_tls import make_identity

MISSING = missing_programs()
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not on the PATH: {', '.join(MISSING)}")

PATIENCE = 60.0
ACCOUNT = "system:serviceaccount:kulvert:kulvert-controller"

ZONE = "topology.kubernetes.io/zone"
ZONES = {"node-a": "east", "node-b": "west"}

Value = dict[str, Any]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealCluster]:
    with real_cluster(tmp_path_factory.mktemp("cluster")) as found:
        found.apply(namespace_value("shop", {"team": "a"}), namespace_value("other"))
        yield found


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apiserver, "_FIRST_BACKOFF", 0.05)
    monkeypatch.setattr(apiserver, "_LAST_BACKOFF", 0.5)
    monkeypatch.setattr(apiserver, "_RELOAD_SECONDS", 0.1)


@pytest.fixture
def emptied(cluster: RealCluster) -> Iterator[None]:
    """What a test has put into its cluster is gone afterwards."""
    yield
    deadline = time.monotonic() + PATIENCE
    while left := [item for item in everything(cluster) if not _is_kubernetes_own(item)]:
        assert time.monotonic() < deadline, f"{left[0]['kind']} {left[0]['metadata']['name']} does not go away"
        for value in left:  # some are finalized or made anew by the controller manager
            cluster.delete(value)
    cluster.delete(DEFINITION)
    for path in (cluster.path(DEFINITION), RESOURCES["ClusterNetworkPolicy"].path):
        while cluster.request("GET", path)[0] != 404:
            assert time.monotonic() < deadline, f"{path} does not go away"


def _is_kubernetes_own(value: Value) -> bool:
    return bool(value["kind"] == "Namespace" or value["metadata"]["name"] == "kubernetes")


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 2 * PATIENCE))


async def until(condition: Callable[[], bool], what: str = "it") -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come about in {PATIENCE:.0f} s"
        await asyncio.sleep(0.02)


class Running:
    """A controller and the switch that it keeps."""

    def __init__(self, controller: Controller, switch: FakeSwitch) -> None:
        self.controller = controller
        self.switch = switch

    @property
    def held(self) -> dict[bytes, bytes]:
        """What the switch holds, comparable."""
        return {
            key: entity.SerializeToString(deterministic=True) for key, entity in sorted(self.switch.entities.items())
        }

    async def comes_to(self, wanted: dict[bytes, bytes]) -> None:
        """The switch holds what is wanted; if it does not in time, an error names what differs."""
        deadline = time.monotonic() + PATIENCE
        while (held := self.held) != wanted:
            if time.monotonic() > deadline:
                keys = [key for key in held.keys() | wanted.keys() if held.get(key) != wanted.get(key)]
                differences = [f"{self._named(held.get(key))}, not {self._named(wanted.get(key))}" for key in keys]
                raise AssertionError("the switch holds " + "\n".join(differences))
            await asyncio.sleep(0.02)

    def _named(self, data: bytes | None) -> str:
        codec = self.controller.reconciler.synchronizer.codec
        return "nothing" if data is None else describe(codec.name_numbers(codec.decode(p4r.Entity.FromString(data))))

    def knows(self, *ref: str) -> bool:
        return self.controller.store.get(ObjectRef(*ref)) is not None


def make_options(folder: Path, switch: FakeSwitch, **options: Any) -> ControllerOptions:
    p4info, device = folder / "node.p4info.txtpb", folder / "node.json"
    p4info.write_text(text_format.MessageToString(make_p4info()))
    device.write_text("{}")
    return ControllerOptions("node-a", p4info, device, switch_address=switch.address, **options)


@asynccontextmanager
async def controller(folder: Path, **options: Any) -> AsyncIterator[Running]:
    """A controller that has written everything once."""
    switch = FakeSwitch()
    await switch.start()
    stop = asyncio.Event()
    try:
        chosen = Controller(make_options(folder, switch, **options))
        task = asyncio.create_task(chosen.run(stop))
        synced = asyncio.create_task(chosen.reconciler.synced.wait())
        await asyncio.wait({task, synced}, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        synced.cancel()
        if task.done():
            task.result()
        assert chosen.reconciler.synced.is_set(), chosen.reconciler.not_ready()
        try:
            yield Running(chosen, switch)
        finally:
            stop.set()
            assert await asyncio.wait_for(task, PATIENCE) == 0
    finally:
        await switch.stop()


def pod(name: str, ips: list[str], labels: dict[str, str], ready: bool = True, **more: Any) -> Value:
    """A Pod as the API server holds it (since Kubernetes 1.35 with its node's zone) and a kubelet would have reported it."""
    value = pod_value(name, ips, labels | {ZONE: ZONES[more["node"]]}, **more)
    value["spec"]["containers"][0]["image"] = "none"
    value["status"]["conditions"] = [{"type": "Ready", "status": "True" if ready else "False"}]
    return value


def node(name: str, addresses: list[str], ranges: list[str]) -> Value:
    value = node_value(name, addresses[0])
    value["metadata"]["labels"] = {ZONE: ZONES[name]}
    value["spec"] = {"podCIDR": ranges[0], "podCIDRs": ranges}
    value["status"]["addresses"] = [{"type": "InternalIP", "address": address} for address in addresses]
    value["status"]["conditions"] = [{"type": "Ready", "status": "True"}]
    value["status"]["allocatable"] = {"cpu": "4"}
    return value


def service(name: str, ips: list[str], target: str = "web", **spec: Any) -> Value:
    ports = spec.pop("ports", [{"name": "http", "port": 80, "targetPort": 8080}])
    families = ["IPv6" if ":" in ip else "IPv4" for ip in ips if ip != "None"]
    if families:
        spec["ipFamilies"] = families
        spec["ipFamilyPolicy"] = "RequireDualStack" if len(families) == 2 else "SingleStack"
    return service_value(name, ips, ports, selector={"app": target}, **spec)


WEB = {
    "web-0": ("node-a", ["10.244.1.10", "fd00:10:244:1::10"], True),
    "web-1": ("node-a", ["10.244.1.11", "fd00:10:244:1::11"], True),
    "web-2": ("node-b", ["10.244.2.10", "fd00:10:244:2::10"], True),
    "web-3": ("node-b", ["10.244.2.11", "fd00:10:244:2::11"], False),
}
DNS_PORTS = [
    {"name": "udp", "port": 53, "protocol": "UDP", "targetPort": 5353},
    {"name": "tcp", "port": 53, "protocol": "TCP", "targetPort": 5353},
    {"name": "sctp", "port": 54, "protocol": "SCTP", "targetPort": 5354},
]

NODES = [
    node("node-a", ["192.0.2.1", "2001:db8::1"], ["10.244.1.0/24", "fd00:10:244:1::/64"]),
    node("node-b", ["192.0.2.2", "2001:db8::2"], ["10.244.2.0/24", "fd00:10:244:2::/64"]),
]
PODS = [
    pod(name, ips, {"app": "web"}, ready, node=place, port=number if place == "node-a" else None,
        ports=[{"name": "http", "containerPort": 8080}])
    for number, (name, (place, ips, ready)) in enumerate(WEB.items(), 1)
] + [
    pod("dns-0", ["10.244.1.20"], {"app": "dns"}, node="node-a", port=20),
    pod("visitor", ["10.244.1.30", "fd00:10:244:1::30"], {"app": "visitor"}, node="node-a", port=30, namespace="other"),
    pod("host", ["192.0.2.1"], {"app": "host"}, node="node-a", hostNetwork=True),
]  # fmt: skip
DUAL = ["10.96.1.1", "fd00:10:96::11"]
SERVICES = [
    service("cluster-ip", ["10.96.1.0"]),
    service("dual", DUAL),
    service("six", ["fd00:10:96::12"]),
    service("dns", ["10.96.1.2"], "dns", ports=DNS_PORTS),
    service("node-port", ["10.96.1.3"], type="NodePort",
            ports=[{"name": "http", "port": 80, "targetPort": "http", "nodePort": 30080}]),
    service("balanced", ["10.96.1.4"], type="LoadBalancer", loadBalancerSourceRanges=["198.51.100.0/24"],
            ports=[{"name": "http", "port": 80, "targetPort": 8080, "nodePort": 30081}])
    | {"status": {"loadBalancer": {"ingress": [
        {"ip": "203.0.113.1", "ipMode": "VIP"}, {"ip": "203.0.113.2", "ipMode": "Proxy"}]}}},
    service("local", ["10.96.1.5"], type="LoadBalancer", externalTrafficPolicy="Local", healthCheckNodePort=32701,
            ports=[{"name": "http", "port": 80, "targetPort": 8080, "nodePort": 30082}])
    | {"status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.3"}]}}},
    service("external", ["10.96.1.6"], externalIPs=["203.0.113.10", "2001:db8:1::10"]),
    service("sticky", ["10.96.1.7"], sessionAffinity="ClientIP",
            sessionAffinityConfig={"clientIP": {"timeoutSeconds": 600}}),
    service("inner", ["10.96.1.8"], internalTrafficPolicy="Local"),
    service("near", ["10.96.1.9"], trafficDistribution="PreferSameNode"),
    service("headless", ["None"]),
    service("nobody", ["10.96.1.12"], "nobody"),
    service("proxied", ["10.96.1.13"]) | {"metadata": {
        "name": "proxied", "namespace": "shop", "labels": {"service.kubernetes.io/service-proxy-name": "another"}}},
]  # fmt: skip
POLICIES = [
    policy_value("web-from-visitors", podSelector={"matchLabels": {"app": "web"}}, ingress=[
        {"from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "other"}}}],
         "ports": [{"port": "http"}, {"port": 9000, "endPort": 9010}]},
        {"from": [{"ipBlock": {"cidr": "203.0.113.0/24", "except": ["203.0.113.128/25"]}}]}]),
    policy_value("dns-out", podSelector={"matchExpressions": [{"key": "app", "operator": "In", "values": ["dns"]}]},
                 policyTypes=["Egress"], egress=[{"ports": [{"port": 53, "protocol": "UDP"}]}]),
    policy_value("closed", "other"),
]  # fmt: skip
RANGES = [service_cidr_value("more", "10.100.0.0/24", "fd00:10:100::/112")]
CLUSTER_POLICIES = [
    cluster_policy_value("guard", ingress=[
        {"name": "no-visitors", "action": "Deny", "from": [{"namespaces": {"matchLabels": {"team": "b"}}}]},
        {"action": "Pass", "from": [{"pods": {"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "web"}}}}],
         "protocols": [{"tcp": {"destinationPort": {"number": 80}}}]}]),
    cluster_policy_value("base", "Baseline", 5, egress=[
        {"action": "Deny", "to": [{"networks": ["198.51.100.0/24"]}, {"nodes": {}}]}]),
]  # fmt: skip

DEFINITION: Value = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {
        "name": "clusternetworkpolicies.policy.networking.k8s.io",
        "annotations": {"api-approved.kubernetes.io": "unapproved, for a test"},
    },
    "spec": {
        "group": "policy.networking.k8s.io",
        "names": {"kind": "ClusterNetworkPolicy", "plural": "clusternetworkpolicies"},
        "scope": "Cluster",
        "versions": [
            {
                "name": "v1alpha2",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }
        ],
    },
}


def slices() -> list[Value]:
    """What the endpoint slices of SERVICES and PODS have to be, written by hand."""
    found = []
    for value in SERVICES:
        name, spec = value["metadata"]["name"], value["spec"]
        target = spec["selector"]["app"]
        if target == "nobody":
            continue
        members = [item for item in PODS if item["metadata"]["labels"]["app"] == target]
        ports = [
            {"name": port["name"], "protocol": port.get("protocol", "TCP"), "port": 8080 if port["targetPort"] == "http" else port["targetPort"]}
            for port in spec["ports"]
        ]  # fmt: skip
        for family in spec.get("ipFamilies", ["IPv4"]):
            endpoints = []
            for item in members:
                ready = item["status"]["conditions"][0]["status"] == "True"
                for address in (entry["ip"] for entry in item["status"]["podIPs"]):
                    if (":" in address) == (family == "IPv6"):
                        made = endpoint(address, ready, ready, False) | {"nodeName": item["spec"]["nodeName"]}
                        if spec.get("trafficDistribution"):
                            made["hints"] = {"forNodes": [{"name": item["spec"]["nodeName"]}]}
                        endpoints.append(made)
            found.append(slice_value(name, endpoints, ports, address_type=family))
    return found


def everything(cluster: RealCluster) -> list[Value]:
    """All objects of the kinds that the controller follows, as the API server holds them."""
    return [
        value
        for resource in RESOURCES.values()
        if cluster.request("GET", resource.path)[0] == 200
        for value in cluster.list(resource.path)
    ]


async def defined(cluster: RealCluster) -> None:
    """The API of ClusterNetworkPolicy is served."""
    cluster.apply(DEFINITION)
    path = RESOURCES["ClusterNetworkPolicy"].path
    await until(lambda: cluster.request("GET", path)[0] == 200, "the API of ClusterNetworkPolicy")


async def sliced(cluster: RealCluster) -> None:
    """The controller manager has made the slices of all Services."""
    path = RESOURCES["EndpointSlice"].path
    wanted = {
        (item["metadata"]["labels"]["kubernetes.io/service-name"], item["addressType"]): len(item["endpoints"])
        for item in slices()
    }

    def have() -> dict[tuple[str, str], int]:
        return {
            (item["metadata"]["labels"]["kubernetes.io/service-name"], item["addressType"]): len(item["endpoints"])
            for item in cluster.list(path)
            if item["metadata"]["namespace"] == "shop" and item["endpoints"]
        }

    await until(lambda: have() == wanted, "the endpoint slices")


async def from_files(folder: Path, values: Iterable[Value]) -> dict[bytes, bytes]:
    """What a switch holds whose controller reads these objects from a folder."""
    manifests = folder / "manifests"
    manifests.mkdir()
    (manifests / "all.yaml").write_text(yaml.safe_dump_all(list(values)))
    async with controller(folder, manifests=manifests) as running:
        assert not running.controller.reconciler.problems and not running.controller.source.errors
        return running.held


@pytest.mark.usefixtures("emptied")
def test_objects_of_every_kind_give_what_the_same_manifests_give(cluster: RealCluster, tmp_path: Path) -> None:
    authored = [*NODES, *PODS, *SERVICES, *POLICIES, *RANGES, *CLUSTER_POLICIES]

    async def test() -> None:
        await defined(cluster)
        cluster.apply(*authored)
        await sliced(cluster)
        async with controller(tmp_path, kubeconfig=cluster.admin) as running:
            assert not running.controller.reconciler.problems and not running.controller.source.errors
            held = running.held
        by_hand, dumped = tmp_path / "by-hand", tmp_path / "dumped"
        by_hand.mkdir()
        dumped.mkdir()
        spaces = [namespace_value("shop", {"team": "a"}), namespace_value("other")]
        ranges = service_cidr_value("kubernetes", "10.96.0.0/16", "fd00:10:96::/112")
        kubernetes = [item for item in everything(cluster) if item["metadata"]["name"] == "kubernetes"]
        kubernetes = [item for item in kubernetes if item["kind"] != "ServiceCIDR"]
        assert held == await from_files(dumped, everything(cluster))
        assert held == await from_files(by_hand, [*authored, *spaces, ranges, *kubernetes, *slices()])
        assert len(held) > 100

    run(test())


@pytest.mark.usefixtures("emptied")
def test_changes_of_every_kind_are_followed(cluster: RealCluster, tmp_path: Path) -> None:
    web = PODS[1]

    async def test() -> None:
        cluster.apply(*NODES, *PODS, *SERVICES)
        await sliced(cluster)
        async with controller(tmp_path, kubeconfig=cluster.admin) as running:
            steps: list[Callable[[], None]] = [
                lambda: cluster.apply(web | {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "False"}]}}),
                lambda: cluster.end(PODS[0]),
                lambda: cluster.apply(*POLICIES),
                lambda: cluster.apply(namespace_value("other", {"team": "b"})),
                lambda: cluster.delete(web),
                lambda: cluster.apply(service("dual", DUAL, "dns", ports=DNS_PORTS)),
                lambda: cluster.delete(SERVICES[0]),
                lambda: cluster.apply(*RANGES, node("node-b", ["192.0.2.9"], ["10.244.2.0/24", "fd00:10:244:2::/64"])),
                lambda: cluster.delete(POLICIES[0]),
                lambda: cluster.apply(namespace_value("other")),
            ]  # fmt: skip
            for number, step in enumerate(steps):
                step()
                before = -1
                while (now := cluster.revision()) != before:  # the controller manager has done its part
                    before = now
                    await asyncio.sleep(0.5)
                folder = tmp_path / str(number)
                folder.mkdir()
                wanted = await from_files(folder, everything(cluster))
                await running.comes_to(wanted)

    run(test())


class Gate:
    """A way to the API server that can be shut; what comes through is not touched."""

    def __init__(self, cluster: RealCluster) -> None:
        self._target = cluster.address
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self._is_open = True

    async def start(self) -> int:
        """The port to come through."""
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    def shut(self) -> None:
        """Break off every connection, and let none in until `open`."""
        self._is_open = False
        for writer in tuple(self._writers):
            writer.transport.abort()

    def open(self) -> None:
        self._is_open = True

    async def stop(self) -> None:
        self.shut()
        if self._server is not None:
            self._server.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            if self._is_open:
                far_reader, far_writer = await asyncio.open_connection(*self._target)
                self._writers.add(far_writer)
                try:
                    await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
                finally:
                    self._writers.discard(far_writer)
                    far_writer.close()
        except OSError:
            pass
        finally:
            self._writers.discard(writer)
            writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


@pytest.mark.usefixtures("emptied")
def test_what_a_compacted_server_no_longer_tells_is_listed_anew(
    cluster: RealCluster, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        cluster.apply(*NODES, *PODS, *SERVICES, *POLICIES)
        await sliced(cluster)
        gate = Gate(cluster)
        port = await gate.start()
        through = cluster.kubeconfig("gate", port=port)
        async with controller(tmp_path, kubeconfig=through) as running:
            gate.shut()
            cluster.delete(PODS[4])
            cluster.delete(POLICIES[1])
            cluster.apply(service("late", ["10.96.2.1"]))
            await until(
                lambda: (
                    not cluster.list(f"{RESOURCES['EndpointSlice'].path}?labelSelector=kubernetes.io/service-name=dns")[
                        0
                    ]["endpoints"]
                )
            )
            cluster.compact()
            cluster.kill_api_server()
            cluster.start_api_server()
            batches = len(running.switch.batches)
            gate.open()
            wanted = await from_files(tmp_path / "files", everything(cluster))
            await running.comes_to(wanted)
            assert "too old to go on from" in caplog.text
            assert sum(map(len, running.switch.batches[batches:])) < len(wanted) / 2, "only what differs is written"
        await gate.stop()

    (tmp_path / "files").mkdir()
    caplog.set_level("INFO", "controlplane")
    run(test())


@pytest.mark.usefixtures("emptied")
def test_a_restarted_server_takes_nothing_away(cluster: RealCluster, tmp_path: Path) -> None:
    async def test() -> None:
        await defined(cluster)
        cluster.apply(*NODES, *PODS, *SERVICES, *POLICIES, *RANGES, *CLUSTER_POLICIES)
        await sliced(cluster)
        async with controller(tmp_path, kubeconfig=cluster.admin) as running:
            held, changes = running.held, running.controller.store.follow()
            changes.take()
            for number in range(2):
                cluster.kill_api_server()
                cluster.launch_api_server()
                await until(cluster.is_ready)
                late = service(f"late-{number}", [f"10.96.2.{number}"], "nobody")
                cluster.apply(late)
                await until(lambda: running.knows("Service", "shop", late["metadata"]["name"]))  # noqa: B023
                cluster.apply(cluster_policy_value("late", priority=number))
                await until(lambda: running.knows("ClusterNetworkPolicy", "", "late"))
                cluster.delete(cluster_policy_value("late"))
                await until(lambda: not running.knows("ClusterNetworkPolicy", "", "late"))
                cluster.delete(late)
                await until(lambda: not running.knows("Service", "shop", late["metadata"]["name"]))  # noqa: B023
            await running.comes_to(held)
            changed = {ref.name for ref in changes.take()}
            assert all(name == "kubernetes" or name.startswith("late") for name in changed), changed

    run(test())


def deployed() -> list[Value]:
    """The objects of deploy/base with their namespace, as kustomize gives them, but for the ConfigMap."""
    found = list(resources(DEPLOY / "base"))
    for value in found:
        if value["kind"] in ("ServiceAccount", "DaemonSet"):
            value["metadata"]["namespace"] = "kulvert"
    return found


def audited(cluster: RealCluster, start: int) -> list[Value]:
    """What the controller's account has asked for, and the answers, from that many lines of the log on."""
    records = [json.loads(line) for line in cluster.audit_log.read_text().splitlines()[start:]]
    return [record for record in records if record["user"]["username"] == ACCOUNT]


@pytest.mark.usefixtures("emptied")
def test_its_account_may_what_it_needs_and_nothing_else(cluster: RealCluster, tmp_path: Path) -> None:
    cluster.audit_log.touch()
    begun = len(cluster.audit_log.read_text().splitlines())
    homeless = pod("homeless", ["10.244.1.40"], {"app": "homeless"}, node="node-a")
    reason = "has no switch port"

    def events() -> list[Value]:
        found = cluster.list("/api/v1/namespaces/shop/events")
        return [item for item in found if item["involvedObject"]["name"] == "homeless"]

    async def test() -> None:
        await defined(cluster)
        cluster.apply(*deployed(), *NODES, homeless, *CLUSTER_POLICIES)
        token = cluster.account_token("kulvert", "kulvert-controller")
        kubeconfig = cluster.kubeconfig("account", token)
        for life in (1, 2):
            async with controller(tmp_path, kubeconfig=kubeconfig):
                await until(lambda life=life: [item["count"] for item in events()] == [life], "the Event")  # type: ignore[misc]
        (event,) = events()
        assert (event["type"], event["reason"]) == ("Warning", "NotProgrammed") and reason in event["message"]
        held = cluster.ask("GET", "/api/v1/namespaces/shop/pods/homeless")
        assert event["involvedObject"]["uid"] == held["metadata"]["uid"]

    run(test())
    (role,) = [item for item in deployed() if item["kind"] == "ClusterRole"]
    granted = {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    records = audited(cluster, begun)
    refused = [record for record in records if record["responseStatus"]["code"] in (401, 403)]
    used = {(it["objectRef"].get("apiGroup", ""), it["objectRef"]["resource"], it["verb"]) for it in records}
    assert not refused
    assert used == granted


@pytest.mark.usefixtures("emptied")
def test_an_account_that_is_made_anew_is_gone_on_with(
    cluster: RealCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    host, port = cluster.address
    token_file = tmp_path / "token"
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(port))
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(token_file))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(cluster.authority.certificate))
    monkeypatch.setattr(apiserver, "WATCH_SECONDS", 1)
    (account,) = [item for item in deployed() if item["kind"] == "ServiceAccount"]

    async def test() -> None:
        cluster.apply(*deployed(), *NODES)
        token_file.write_text(cluster.account_token("kulvert", "kulvert-controller"))
        async with controller(tmp_path, in_cluster=True) as running:
            cluster.delete(account)
            await until(lambda: "answers 401 Unauthorized" in caplog.text, "a refused token")
            cluster.apply(account, SERVICES[0])
            token_file.write_text(cluster.account_token("kulvert", "kulvert-controller"))
            await until(lambda: running.knows("Service", "shop", "cluster-ip"))

    run(test())


@pytest.mark.usefixtures("emptied")
def test_a_list_of_which_a_page_is_gone_begins_anew(
    cluster: RealCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(apiserver, "PAGE_SIZE", 3)
    asked = ApiServerSource._get
    pages: list[bool] = []

    async def get(
        self: ApiServerSource, api: Any, resource: Resource, query: list[tuple[str, str]], idle: float
    ) -> Any:
        if resource.kind == "Service" and "continue" in dict(query):
            pages.append(True)
            if len(pages) == 3:  # the pages so far are of a state that nobody can tell any more
                cluster.apply(service("late", ["10.96.2.1"]))
                cluster.delete(SERVICES[0])
                cluster.compact()
                cluster.kill_api_server()
                cluster.start_api_server()
        return await asked(self, api, resource, query, idle)

    async def test() -> None:
        cluster.apply(*SERVICES)
        monkeypatch.setattr(ApiServerSource, "_get", get)
        async with controller(tmp_path, kubeconfig=cluster.admin) as running:
            names = {item["metadata"]["name"] for item in cluster.list("/api/v1/services")}
            held = {ref.name for ref, _ in running.controller.store if ref.kind == "Service"}
            assert held == names and "late" in held and len(pages) > 6
        assert "services: too old to go on from; listing again" in caplog.text

    caplog.set_level("INFO", "controlplane")
    run(test())


@pytest.mark.usefixtures("emptied")
def test_policies_go_with_their_api_and_come_with_it(
    cluster: RealCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apiserver, "_PROBE_SECONDS", 0.2)
    guard = cluster_policy_value("guard", ingress=[{"action": "Deny", "from": [{"namespaces": {}}]}])

    async def test() -> None:
        cluster.apply(*NODES, *PODS)
        async with controller(tmp_path, kubeconfig=cluster.admin) as running:
            without = running.held
            await defined(cluster)
            cluster.apply(guard)
            await until(lambda: bool(running.switch.table("ingress_policy_table")), "the policy")
            cluster.delete(DEFINITION)
            await running.comes_to(without)
            assert not running.knows("ClusterNetworkPolicy", "", "guard")
            await until(lambda: cluster.request("GET", cluster.path(DEFINITION))[0] == 404)
            await defined(cluster)
            cluster.apply(guard)
            await until(lambda: bool(running.switch.table("ingress_policy_table")), "the policy")

    run(test())


def test_a_client_certificate_says_who_it_is(cluster: RealCluster, tmp_path: Path) -> None:
    certificate = make_identity(tmp_path, "node-a-offload", cluster.authority)
    kubeconfig = cluster.kubeconfig("certificate")
    value = yaml.safe_load(kubeconfig.read_text())
    value["users"][0]["user"] = {
        "client-certificate": str(certificate.certificate),
        "client-key": str(certificate.key),
    }
    kubeconfig.write_text(yaml.safe_dump(value))
    (binding,) = [item for item in deployed() if item["kind"] == "ClusterRoleBinding"]
    binding["metadata"]["name"] = "by-certificate"
    binding["subjects"] = [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "node-a-offload"}]

    async def test() -> None:
        cluster.apply(*deployed(), binding)
        async with controller(tmp_path, kubeconfig=kubeconfig) as running:
            assert running.knows("Service", "default", "kubernetes")

    run(test())


def test_what_it_may_not_read_is_named(cluster: RealCluster, tmp_path: Path) -> None:
    (role,) = [item for item in deployed() if item["kind"] == "ClusterRole"]
    less = [rule for rule in role["rules"] if "networkpolicies" not in rule["resources"]]

    async def test() -> None:
        cluster.apply(*deployed(), role | {"rules": less})
        kubeconfig = cluster.kubeconfig("account", cluster.account_token("kulvert", "kulvert-controller"))
        async with switch_in_memory() as switch:
            chosen = Controller(make_options(tmp_path, switch, kubeconfig=kubeconfig))
            stop = asyncio.Event()
            task = asyncio.create_task(chosen.run(stop))
            await until(lambda: chosen.reconciler.not_ready().count("403 Forbidden") == 2)
            words = chosen.reconciler.not_ready()
            assert "servicecidrs" in words and 'cannot list resource "networkpolicies"' in words
            cluster.apply(role)
            await until(chosen.reconciler.synced.is_set)
            assert not chosen.reconciler.not_ready()
            stop.set()
            await task

    run(test())


@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda folder: folder.name)
def test_the_overlays_are_taken_and_so_are_their_pods(cluster: RealCluster, overlay: Path) -> None:
    tool = shutil.which("kustomize") or shutil.which("kubectl")
    if tool is None:
        pytest.skip("neither kustomize nor kubectl is on the PATH")
    argv = [tool, "build" if tool.endswith("kustomize") else "kustomize", str(overlay)]
    built = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True).stdout
    values = list(yaml.safe_load_all(built))
    cluster.apply(*(value for value in values if value["kind"] == "Namespace"))
    cluster.apply(*values, dry_run=True)
    (template,) = [value["spec"]["template"] for value in values if value["kind"] == "DaemonSet"]
    metadata = template["metadata"] | {"name": "kulvert-0", "namespace": "kulvert"}
    cluster.apply({"apiVersion": "v1", "kind": "Pod", **template, "metadata": metadata}, dry_run=True)


def held_natively(node: Node) -> dict[bytes, bytes]:
    """What the native switch of a node holds."""
    with Switch(Target(node.address, 0)) as switch:
        return {wire.key: wire.message.SerializeToString(deterministic=True) for wire in switch.read_all()}


@pytest.mark.usefixtures("emptied")
def test_the_native_switch_holds_what_the_cluster_says(
    cluster: RealCluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.apply(*NODES, *PODS, *SERVICES, *POLICIES)
    run(sliced(cluster))
    files, live = tmp_path / "files", tmp_path / "live"
    files.mkdir()
    live.mkdir()
    with running_node(files, everything(cluster)) as node:
        wanted = held_natively(node)
    with running_node(live, [], manifests=None, kubeconfig=cluster.admin) as node:
        assert not node.controller.reconciler.problems
        assert held_natively(node) == wanted and len(wanted) > 100
        assert kulvert(["diff", *node.arguments]) == 0, capsys.readouterr().out


@pytest.mark.usefixtures("emptied")
def test_the_command_ends_at_once_when_asked(cluster: RealCluster, tmp_path: Path) -> None:
    cluster.apply(*NODES, SERVICES[0])
    with fake_switch() as switch:
        options = make_options(tmp_path, switch)
        argv = [sys.executable, "-m", "kulvert", "controller", "--node", "node-a", "--kubeconfig", str(cluster.admin)]
        argv += ["--switch", switch.address, "--p4info", str(options.p4info)]
        argv += ["--device-config", str(options.device_config)]
        with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            lines = []
            for line in process.stderr:
                lines.append(line)
                if "the switch is in step" in line:
                    break
            process.terminate()
            lines += process.communicate(timeout=PATIENCE)[1].splitlines()
        assert process.returncode == 0 and "stopped" in lines[-1], lines
        assert not [line for line in lines if "Traceback" in line or "Unclosed" in line]
        assert switch.table("service_frontend_table")
