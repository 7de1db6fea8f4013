"""What the lab reads from manifests."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

import pytest
import yaml

from kulvert.failures import UserError
from kulvert.lab.attachments import write_attachments
from kulvert.lab.demo import MANIFESTS, without_endpoint
from kulvert.lab.inventory import read_inventory

NODE = """
apiVersion: v1
kind: Node
metadata: {name: n1}
status: {addresses: [{type: InternalIP, address: 192.0.2.1}, {type: Hostname, address: n1}]}
"""

POD = """
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: x, labels: {app: web}}
spec:
  nodeName: n1
  containers: [{name: c, ports: [{containerPort: 80}, {containerPort: 53, protocol: UDP}]}]
status: {podIPs: [{ip: 10.0.0.1}, {ip: "fd00::1"}]}
"""


def _write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder


def test_a_pod_has_its_addresses_ports_and_a_place_on_the_switch(tmp_path: Path) -> None:
    inventory = read_inventory(_write(tmp_path, node=NODE, pod=POD))
    [pod] = inventory.pods
    assert pod.key == "x/a"
    assert pod.app == "web"
    assert pod.addresses == (ip_address("10.0.0.1"), ip_address("fd00::1"))
    assert [(port.number, port.protocol) for port in pod.ports] == [(80, "TCP"), (53, "UDP")]
    assert inventory.node.addresses == (ip_address("192.0.2.1"),)
    assert pod.port != inventory.node.port
    assert pod.mac != inventory.node.mac


def test_pods_of_other_nodes_and_on_the_host_network_are_left_out(tmp_path: Path) -> None:
    elsewhere = POD.replace("name: a,", "name: b,").replace("nodeName: n1", "nodeName: n2")
    on_host = POD.replace("name: a,", "name: c,").replace("nodeName: n1", "nodeName: n1\n  hostNetwork: true")
    inventory = read_inventory(_write(tmp_path, node=NODE, one=POD, two=elsewhere, three=on_host))
    assert [pod.name for pod in inventory.pods] == ["a"]
    assert not inventory.warnings


def test_what_cannot_be_read_is_named_and_stops_nothing_else(tmp_path: Path) -> None:
    no_address = POD.replace("name: a,", "name: b,").replace("10.0.0.1", "10.0.0.1.2")
    folder = _write(tmp_path, node=NODE, pod=POD, broken="kind: Pod\n  bad: [", wrong=no_address)
    inventory = read_inventory(folder)
    assert [pod.name for pod in inventory.pods] == ["a"]
    assert len(inventory.warnings) == 2
    assert any("broken.yaml" in warning for warning in inventory.warnings)
    assert any("wrong.yaml" in warning and "Pod b" in warning for warning in inventory.warnings)


@pytest.mark.parametrize(
    ("files", "word"), [({}, "no manifests"), ({"pod": POD}, "no Node"), ({"node": NODE}, "no Pod")]
)
def test_a_folder_that_makes_no_lab_is_refused(tmp_path: Path, files: dict[str, str], word: str) -> None:
    with pytest.raises(UserError, match=word):
        read_inventory(_write(tmp_path, **files))


def test_the_demonstration_has_what_it_needs() -> None:
    inventory = read_inventory(MANIFESTS)
    assert not inventory.warnings
    assert len(inventory.pods_of("search-store")) == 3
    for addresses in [pod.addresses for pod in inventory.pods] + [item.addresses for item in inventory.services]:
        assert [address.version for address in addresses] == [4, 6]
    assert len({address for pod in inventory.pods for address in pod.addresses}) == 2 * len(inventory.pods)


def test_the_controller_accepts_the_attachments_file(tmp_path: Path) -> None:
    from controlplane.attachments import load_attachments

    inventory = read_inventory(MANIFESTS)
    write_attachments(inventory, tmp_path / "attachments.yaml")
    attachments = load_attachments(tmp_path / "attachments.yaml")
    assert attachments.node is not None
    assert attachments.node.port == inventory.node.port
    assert {(ref.namespace, ref.name): place.port for ref, place in attachments.pods} == {
        (pod.namespace, pod.name): pod.port for pod in inventory.pods
    }


def test_an_endpoint_is_taken_out_of_both_slices_and_nothing_else() -> None:
    text = (MANIFESTS / "10-search-store.yaml").read_text()
    pod = read_inventory(MANIFESTS).pods_of("search-store")[-1]
    before, after = (list(yaml.safe_load_all(part)) for part in (text, without_endpoint(text, pod)))
    assert [document["metadata"]["name"] for document in after] == [document["metadata"]["name"] for document in before]
    for old, new in zip(before, after, strict=True):
        if old["kind"] == "EndpointSlice":
            assert len(new["endpoints"]) == len(old["endpoints"]) - 1
            assert pod.name not in str(new["endpoints"])
        else:
            assert new == old
    assert without_endpoint(text, read_inventory(MANIFESTS).pods_of("visitor")[0]) == text
