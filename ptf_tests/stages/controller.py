"""The controller and the pipeline together: ordinary manifests in, packets through, nothing in between made by hand."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, ClassVar

import yaml
from ptf import testutils
from scapy.layers.l2 import ARP, Ether

from ptf_tests.base import GATEWAY, NODE, POD_A, POD_B, POD_C, PODS, ROUTER, SERVICE_RANGE, VIP, NodeTest
from ptf_tests.drop_reasons import DropReason
from ptf_tests.packets import FAMILIES, GATEWAY_MAC, Host, Side

_NODE_NAME = "node-1"
_NAMESPACE = "search"
_TIERS = {POD_A.name: "dashboard", POD_B.name: "store", POD_C.name: "ingest"}
_CONTROLLER_SECONDS = 40


def _pod(host: Host) -> dict[str, Any]:
    tier = _TIERS[host.name]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": tier, "namespace": _NAMESPACE, "labels": {"tier": tier}},
        "spec": {
            "nodeName": _NODE_NAME,
            "containers": [{"name": tier, "ports": [{"name": "http", "containerPort": 9200, "protocol": "TCP"}]}],
        },
        "status": {
            "phase": "Running",
            "podIP": host.ipv4,
            "podIPs": [{"ip": host.ipv4}, {"ip": host.ipv6}],
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def _objects() -> list[dict[str, Any]]:
    """A node with three pods, a Service of one of them, and a policy that lets one of the others use it."""
    ports = [{"name": "http", "protocol": "TCP", "port": 9200}]
    slices = [
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": f"store-v{family}",
                "namespace": _NAMESPACE,
                "labels": {"kubernetes.io/service-name": "store"},
            },
            "addressType": f"IPv{family}",
            "ports": ports,
            "endpoints": [
                {
                    "addresses": [POD_B.address(family)],
                    "conditions": {"ready": True, "serving": True, "terminating": False},
                    "nodeName": _NODE_NAME,
                    "targetRef": {"kind": "Pod", "namespace": _NAMESPACE, "name": "store"},
                }
            ],
        }
        for family in FAMILIES
    ]
    return [
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": _NODE_NAME},
            "spec": {"podCIDR": "10.1.0.0/24", "podCIDRs": ["10.1.0.0/24", "fd00:1::/64"]},
            "status": {"addresses": [{"type": "InternalIP", "address": NODE.address(family)} for family in FAMILIES]},
        },
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": _NAMESPACE}},
        *(_pod(host) for host in PODS),
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "store", "namespace": _NAMESPACE},
            "spec": {
                "type": "ClusterIP",
                "selector": {"tier": "store"},
                "clusterIP": VIP[4],
                "clusterIPs": [VIP[4], VIP[6]],
                "ipFamilies": ["IPv4", "IPv6"],
                "ports": [{"name": "http", "protocol": "TCP", "port": 80, "targetPort": "http"}],
            },
        },
        *slices,
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": "store", "namespace": _NAMESPACE},
            "spec": {
                "podSelector": {"matchLabels": {"tier": "store"}},
                "policyTypes": ["Ingress", "Egress"],
                "ingress": [
                    {
                        "from": [{"podSelector": {"matchLabels": {"tier": "dashboard"}}}],
                        "ports": [{"protocol": "TCP", "port": "http"}],
                    }
                ],
            },
        },
    ]


def _attachments() -> dict[str, Any]:
    return {
        "gateway": {"mac": GATEWAY_MAC, "addresses": [GATEWAY[family] for family in FAMILIES]},
        "node": {"port": NODE.port, "mac": NODE.mac},
        "uplinks": [
            {
                "port": ROUTER.port,
                "mac": GATEWAY_MAC,
                "neighbors": {ROUTER.address(family): ROUTER.mac for family in FAMILIES},
            }
        ],
        "pods": [{"namespace": _NAMESPACE, "name": _TIERS[pod.name], "port": pod.port, "mac": pod.mac} for pod in PODS],
    }


class ManifestsBecomePackets(NodeTest):
    """Manifests through `kulvert controller --once`: gateway, Service, reply, policy, spoofing and refusal hold."""

    installs_node: ClassVar[bool] = False

    def runTest(self) -> None:
        shipped = self.client.default_params("hash_key_table")
        self._run_controller()
        self.assertNotEqual(self.client.default_params("hash_key_table"), shipped, "the hash has a secret of its own")
        request = Ether(src=POD_A.mac, dst="ff:ff:ff:ff:ff:ff") / ARP(
            op=1, hwsrc=POD_A.mac, psrc=POD_A.ipv4, hwdst="00:00:00:00:00:00", pdst=GATEWAY[4]
        )
        reply = Ether(src=GATEWAY_MAC, dst=POD_A.mac) / ARP(
            op=2, hwsrc=GATEWAY_MAC, psrc=GATEWAY[4], hwdst=POD_A.mac, pdst=POD_A.ipv4
        )
        self.pass_through(POD_A.port, request, POD_A.port, reply, "the gateway answers")
        for family in FAMILIES:
            vip, store = Side(VIP[family], 80), Side(POD_B.address(family), 9200)
            src = Side(POD_A.address(family), self.new_port())
            self.pass_through(
                POD_A.port,
                self.sent_by(POD_A, src, vip, "tcp"),
                POD_B.port,
                self.delivered_to(POD_B, src, store, "tcp"),
                "the dashboard asks the store",
            )
            self.pass_through(
                POD_B.port,
                self.sent_by(POD_B, store, src, "tcp", flags="SA"),
                POD_A.port,
                self.delivered_to(POD_A, vip, src, "tcp", flags="SA"),
                "the store answers",
            )
            src = Side(POD_C.address(family), self.new_port())
            self.drop(POD_C.port, self.sent_by(POD_C, src, vip, "tcp"), DropReason.INGRESS_POLICY, "ingest may not")
            self.drop(POD_C.port, self.sent_by(POD_C, src, store, "tcp"), DropReason.INGRESS_POLICY, "nor directly")
            out = Side(POD_B.address(family), self.new_port())
            packet = self.sent_by(POD_B, out, Side(POD_C.address(family), 80), "tcp")
            self.drop(POD_B.port, packet, DropReason.EGRESS_POLICY, "the store calls nobody")
            stolen = Side(POD_A.address(family), self.new_port())
            self.drop(POD_C.port, self.sent_by(POD_C, stolen, store, "tcp"), DropReason.SPOOFED_ADDRESS, "as another")
            nobody = Side("10.96.7.7" if family == 4 else "fd00:96::777", 80)
            self.drop(POD_C.port, self.sent_by(POD_C, src, nobody, "tcp"), DropReason.SERVICE_DROPPED, "no Service")
            node = Side(NODE.address(family), self.new_port())
            packet = self.sent_by(NODE, node, store, "tcp")
            self.pass_through(
                NODE.port, packet, POD_B.port, self.delivered_to(POD_B, node, store, "tcp"), "the node may"
            )

    def _run_controller(self) -> None:
        """Have the controller write the entries, as the primary of a higher election id, and leave."""
        with tempfile.TemporaryDirectory() as scratch:
            manifests, attachments = Path(scratch) / "manifests", Path(scratch) / "ports.yaml"
            manifests.mkdir()
            (manifests / "all.yaml").write_text(yaml.safe_dump_all(_objects()), encoding="utf-8")
            attachments.write_text(yaml.safe_dump(_attachments()), encoding="utf-8")
            command = [sys.executable, "-m", "kulvert", "controller", "--once", "--node", _NODE_NAME]
            command += ["--manifests", str(manifests), "--attachments", str(attachments)]
            command += ["--switch", testutils.test_param_get("address")]
            command += ["--device-id", testutils.test_param_get("device_id")]
            command += ["--election-id", str(int(time.time() * 1000) + 1)]
            command += ["--p4info", testutils.test_param_get("p4info")]
            command += ["--device-config", testutils.test_param_get("json")]
            for prefix, length in SERVICE_RANGE.values():
                command += ["--service-cidr", f"{prefix}/{length}"]
            run = subprocess.run(command, capture_output=True, text=True, timeout=_CONTROLLER_SECONDS, check=False)
            self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
