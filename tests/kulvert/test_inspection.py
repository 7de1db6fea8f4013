"""What people ask of a running node, on a real one: the native switch and a controller, both in this process."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controlplane.addresses import parse_address
from controlplane.p4rt.connection import Target
from kulvert.build import build
from kulvert.cli import run
from kulvert.inspection import packets
from kulvert.inspection.interpreter import Interpreter
from kulvert.inspection.switch import Switch
from kulvert.inspection.trace import SwitchEntries
from p4base.messages import p4r
from p4switch.bmv2.loader import load
from p4switch.bmv2.model import Program
from tests.controlplane.cluster import node_value, pod_value, policy_value, service_value, slice_value
from tests.kulvert.node import Node, running_node

PORTS = [{"name": "http", "port": 80}, {"name": "dns", "port": 53, "protocol": "UDP"}]
TARGETS = [{"name": "http", "port": 8080}, {"name": "dns", "port": 53, "protocol": "UDP"}]
CLUSTER = [
    node_value("node-a", "192.0.2.10", "10.1.0.0/16"),
    service_value(ips=["10.96.0.10", "fd00:96::10"], ports=PORTS),
    slice_value(endpoints=["10.1.0.1", "10.1.0.2"], ports=TARGETS),
    slice_value(endpoints=["fd00:1::2"], ports=TARGETS, address_type="IPv6"),
    service_value("empty", ips=["10.96.0.11"]),
    pod_value("web", ["10.1.0.1", "fd00:1::1"], {"app": "web"}, port=1),
    pod_value("db", ["10.1.0.2", "fd00:1::2"], {"app": "db"}, port=2),
    pod_value("visitor", ["10.1.0.3", "fd00:1::3"], {"app": "visitor"}, port=3),
    policy_value(
        podSelector={"matchLabels": {"app": "db"}},
        ingress=[{"from": [{"podSelector": {"matchLabels": {"app": "web"}}}], "ports": [{"port": 8080}]}],
    ),
]
MACS = {1: 0x020000000001, 2: 0x020000000002, 3: 0x020000000003}
GATEWAY = 0x0200A9FE0101


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with running_node(tmp_path_factory.mktemp("node"), CLUSTER, service_cidrs=("10.96.0.0/16",)) as found:
        yield found


def ask(node: Node, capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, Any]:
    """Exit status and JSON of a command."""
    status = run([argv[0], *argv[1:], *node.arguments, "--output", "json"])
    printed = capsys.readouterr()
    assert printed.out, printed.err
    return status, json.loads(printed.out)


def test_status_says_what_is_programmed(node: Node, capsys: pytest.CaptureFixture[str]) -> None:
    status, found = ask(node, capsys, "status")
    assert status == 0 and found["is_ready"] and found["is_primary"] and found["node"] == "node-a"
    assert found["objects"] == {"EndpointSlice": 2, "NetworkPolicy": 1, "Node": 1, "Pod": 3, "Service": 2}
    assert found["installed"] == found["wanted"] > 0 and not found["troubles"]
    sizes = {table["name"]: (table["entries"], table["capacity"]) for table in found["tables"]}
    assert sizes["destination_pod_table"][0] == 6
    assert run(["status", *node.arguments]) == 0
    assert "Everything that is known of is programmed." in capsys.readouterr().out


def test_status_names_what_is_not_programmed_and_why(node: Node, capsys: pytest.CaptureFixture[str]) -> None:
    broken = service_value("broken", ips=["010.96.0.012"])
    node.apply([*CLUSTER, broken])
    try:
        node.wait(lambda: bool(node.controller.reconciler.problems))
        status, found = ask(node, capsys, "status")
        assert status == 1
        assert found["troubles"] == [
            {"object": "Service/shop/broken", "reason": "spec.clusterIPs: '010.96.0.012' is not an IP address"}
        ]
        assert run(["status", *node.arguments]) == 1
        assert "Service/shop/broken" in capsys.readouterr().out
    finally:
        node.apply(CLUSTER)
        node.wait(lambda: not node.controller.reconciler.problems)


def test_without_a_controller_status_tells_what_the_switch_says(
    node: Node, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("kulvert.inspection.controller.DEFAULT_SOCKET", tmp_path / "none.sock")
    assert run(["status", "--switch", node.address, "--output", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {"name": "destination_pod_table", "entries": 6, "capacity": 32} in found["tables"]
    assert run(["trace", "10.1.0.3", "10.96.0.10:80", "--switch", node.address]) in (0, 1)
    assert "shop/web" not in capsys.readouterr().out, "names are the controller's"


def test_tables_show_entries_and_the_objects_that_made_them(node: Node, capsys: pytest.CaptureFixture[str]) -> None:
    _, tables = ask(node, capsys, "tables")
    assert {"name": "ingress_policy_table", "entries": 1, "capacity": 128} in tables
    _, (entry,) = ask(node, capsys, "tables", "ingress_policy_table")
    assert entry["object"] == "NetworkPolicy/shop/policy" and entry["action"] == "allow_ingress"
    assert "identity of pods shop/{app=web}" in entry["text"]
    _, found = ask(node, capsys, "tables", "service_frontend_table", "--grep", "10.96.0.11")
    assert [item["match"]["dst_addr"] for item in found] == ["10.96.0.11"]
    _, members = ask(node, capsys, "tables", "endpoint_selector")
    assert {item["kind"] for item in members} == {"member", "group"}
    assert run(["tables", "no_table", *node.arguments]) == 1
    assert "it has: affinity_endpoint_table" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("question", "verdict", "reason", "decided_by", "owner"),
    [
        (("pod/shop/web", "pod/shop/db:8080"), "forwarded", "", "ingress_policy_table", "NetworkPolicy/shop/policy"),
        (("pod/shop/visitor", "pod/shop/db:8080"), "dropped", "INGRESS_POLICY", "ingress_policy_table", None),
        (("pod/shop/web", "10.96.0.200:80"), "dropped", "SERVICE_DROPPED", "service_address_table", "Configuration/controller"),
        (("pod/shop/web", "svc/shop/empty:80"), "refused", "SERVICE_REJECTED", "service_frontend_table", "Service/shop/empty"),
        (("pod/shop/web", "svc/shop/web:81"), "refused", "SERVICE_PORT_REJECTED", "service_address_table", "Service/shop/web"),
        (("pod/shop/web", "198.51.100.1:80"), "dropped", "NO_ROUTE", "route.p4", None),
    ],
)  # fmt: skip
def test_trace_says_what_decides_and_whose_it_is(
    node: Node,
    capsys: pytest.CaptureFixture[str],
    question: tuple[str, str],
    verdict: str,
    reason: str,
    decided_by: str,
    owner: str | None,
) -> None:
    status, traces = ask(node, capsys, "trace", *question)
    found = traces[0]
    assert (found["verdict"], found["reason"]) == (verdict, reason)
    assert status == (0 if verdict == "forwarded" else 1)
    assert found["decided_by"].split(":")[0] == decided_by
    last = [step for step in found["steps"] if step["table"] == decided_by]
    if decided_by.endswith("_table"):
        assert (last[-1]["entry"] or {}).get("object") == owner


def test_a_denial_names_the_policies_that_isolate_the_pod(node: Node, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["trace", "pod/shop/visitor", "pod/shop/db:8080", *node.arguments]) == 1
    printed = " ".join(capsys.readouterr().out.split())
    assert "no entry matches; the pod is isolated by NetworkPolicy/shop/policy" in printed


def test_trace_finds_the_service_port_by_name_and_both_families(node: Node, capsys: pytest.CaptureFixture[str]) -> None:
    _, traces = ask(node, capsys, "trace", "pod/shop/web", "svc/shop/web:dns")
    assert [item["protocol"] for item in traces] == ["udp", "udp"]
    assert traces[0]["destination"] == "Service/shop/web (10.96.0.10:53)"
    assert traces[1]["destination"] == "Service/shop/web ([fd00:96::10]:53)"
    frontend = next(step for step in traces[0]["steps"] if step["table"] == "service_frontend_table")
    assert frontend["stage"] == "service_lb" and frontend["entry"]["object"] == "Service/shop/web"


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["trace", "pod/shop/nobody", "10.1.0.1:80"], "there is no Pod/shop/nobody"),
        (["trace", "10.9.9.9", "10.1.0.1:80"], "10.9.9.9 is no pod of this node"),
        (["trace", "pod/a/b/c", "10.1.0.1"], "is not pod/NAMESPACE/NAME"),
        (["trace", "pod/shop/web", "svc/shop/web:nix"], "'nix' is neither one of its ports nor a port number"),
        (["trace", "pod/shop/web", "here"], "none of pod/NS/NAME"),
        (["connections", "here"], "none of pod/NS/NAME"),
        (["connections", "pod/shop/nobody"], "there is no Pod/shop/nobody"),
    ],
)
def test_questions_that_make_no_sense_are_one_line(
    node: Node, capsys: pytest.CaptureFixture[str], argv: list[str], words: str
) -> None:
    assert run([*argv, *node.arguments]) == 1
    printed = capsys.readouterr().err
    assert words in printed and len(printed.splitlines()) == 1


@pytest.mark.parametrize("command", ["status", "tables", "connections", "diff", "trace"])
def test_without_a_switch_it_is_one_line(capsys: pytest.CaptureFixture[str], command: str) -> None:
    argv = [command, "--switch", "127.0.0.1:1", *(["10.0.0.1", "10.0.0.2"] if command == "trace" else [])]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("controlplane.p4rt.connection.CONNECT_SECONDS", 0.1)
        assert run(argv) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "cannot reach the switch at 127.0.0.1:1: " in line or "only a running controller knows" in line


def test_a_controller_that_is_asked_for_and_not_there_is_told(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = str(tmp_path / "none.sock")
    for argv in (["status"], ["tables", "route_table"], ["connections"], ["diff"], ["trace", "10.0.0.1", "10.0.0.2"]):
        assert run([*argv, "--control-socket", path]) == 1
        assert (
            capsys.readouterr().err
            == f"kulvert {argv[0]}: error: no controller answers on {path}: there is no such socket\n"
        )


def test_diff_tells_missing_extra_and_different(node: Node, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(node, capsys, "diff") == (0, [])
    with Switch(Target(node.address, 0)) as switch:
        (policy,) = switch.table_entries("ingress_policy_table")
        (neighbor, _) = switch.table_entries("neighbor_table")
    device = _device(node)
    changed, extra = p4r.TableEntry.FromString(neighbor.SerializeToString()), p4r.TableEntry()
    changed.action.action.params[0].value = b"\x01"
    extra.CopyFrom(policy)
    extra.priority = 7
    for kind, entry in ((p4r.Update.DELETE, policy), (p4r.Update.MODIFY, changed), (p4r.Update.INSERT, extra)):
        device(kind, entry)
    status, found = ask(node, capsys, "diff")
    assert status == 1
    assert {(item["kind"], item["object"]) for item in found} == {
        ("missing", "NetworkPolicy/shop/policy"),
        ("different", "Attachments/file"),
        ("extra", ""),
    }
    for kind, entry in ((p4r.Update.INSERT, policy), (p4r.Update.MODIFY, neighbor), (p4r.Update.DELETE, extra)):
        device(kind, entry)
    assert ask(node, capsys, "diff") == (0, [])


def _device(node: Node) -> Any:
    """Writes past the controller, in its own name."""
    import grpc

    from p4base.rpc import p4r_grpc

    def write(kind: int, entry: p4r.TableEntry) -> None:
        request = p4r.WriteRequest(device_id=0)
        request.election_id.low = 1
        request.updates.add(type=kind).entity.table_entry.CopyFrom(entry)
        with grpc.insecure_channel(node.address) as channel:
            p4r_grpc.P4RuntimeStub(channel).Write(request)

    return write


@pytest.fixture(scope="module")
def program_of_the_switch(node: Node) -> Iterator[tuple[Switch, Program]]:
    with Switch(Target(node.address, 0)) as switch:
        yield switch, load(switch.config.p4_device_config)


ADDRESSES = ["10.1.0.1", "10.1.0.2", "10.1.0.3", "10.96.0.10", "10.96.0.11", "10.96.0.99", "192.0.2.10", "fd00:1::1",
             "fd00:1::2", "fd00:1::3", "fd00:96::10", "fd00:96::99"]  # fmt: skip


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    source=st.sampled_from([1, 2, 3]),
    target=st.sampled_from(ADDRESSES),
    port=st.sampled_from([53, 80, 8080, 9]),
    client=st.integers(1024, 65535),
    protocol=st.sampled_from(["tcp", "udp", "icmp"]),
)
def test_trace_says_what_the_data_plane_does(
    node: Node,
    program_of_the_switch: tuple[Switch, Program],
    source: int,
    target: str,
    port: int,
    client: int,
    protocol: str,
) -> None:
    address = parse_address(target)
    own = f"10.1.0.{source}" if address >> 32 == 0xFFFF else f"fd00:1::{source}"
    frame = packets.first_packet((MACS[source], GATEWAY), (parse_address(own), address), protocol, (client, port))
    node.dataplane.write_register("connection_tags", None, 0)  # each packet is the first of its connection
    switch, program = program_of_the_switch
    run_found = Interpreter(program, SwitchEntries(switch, program)).run(frame, source)
    sent = node.dataplane.inject(source, frame)
    assert [out for out, _ in sent] == ([] if run_found.egress_port is None else [run_found.egress_port])


def test_connections_come_in_pairs(node: Node, capsys: pytest.CaptureFixture[str]) -> None:
    ends = (parse_address("10.1.0.3"), parse_address("10.96.0.10"))
    for client in range(4242, 4300):  # until one is sent to the endpoint that may be reached
        if node.dataplane.inject(3, packets.first_packet((MACS[3], GATEWAY), ends, "udp", (client, 53))):
            break
    for places in (
        ["10.96.0.10:53"],
        ["pod/shop/visitor", "svc/shop/web:dns"],
        ["pod/shop/visitor"],
        ["svc/shop/web", "pod/shop/web"],
    ):
        _, found = ask(node, capsys, "connections", *places, "--limit", "0")
        mine = [item for item in found if item["source"] == f"10.1.0.3:{client}"]
        assert len(mine) == 1
        assert (mine[0]["protocol"], mine[0]["destination"]) == ("udp", "10.96.0.10:53")
        assert mine[0]["translated_destination"] == "10.1.0.1:53"
    for places in (
        ["pod/shop/db"],
        ["svc/shop/web:http"],
        ["pod/shop/visitor:9"],
        ["pod/shop/visitor", "pod/shop/db"],
    ):
        _, found = ask(node, capsys, "connections", *places, "--limit", "0")
        assert not [item for item in found if item["source"] == f"10.1.0.3:{client}"], places


def test_connections_are_told_as_they_are_found_and_at_most_as_many_as_asked(
    node: Node, capsys: pytest.CaptureFixture[str]
) -> None:
    ends = (parse_address("10.1.0.3"), parse_address("10.1.0.1"))
    for client in range(5000, 5040):
        node.dataplane.inject(3, packets.first_packet((MACS[3], GATEWAY), ends, "udp", (client, 9999)))
    _, every = ask(node, capsys, "connections", "pod/shop/web:9999", "--limit", "0")
    clients = {int(item["source"].rpartition(":")[2]) for item in every}
    assert clients <= set(range(5000, 5040)) and len(clients) == len(every) >= 20
    assert len(ask(node, capsys, "connections", "--limit", "7")[1]) == 7
    assert run(["connections", "--limit", "7", *node.arguments]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 1 + 7 + 2 and "7 connections and more (--limit)" in printed[8]
    assert ask(node, capsys, "connections", "10.200.0.1") == (0, [])


@pytest.mark.parametrize("share", [1, 1 << 30], ids=["cell by cell", "all cells"])
def test_a_connection_is_found_however_its_cells_are_read(
    node: Node, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, share: int
) -> None:
    ends = (parse_address("10.1.0.3"), parse_address("10.1.0.1"))
    for client in range(6000, 6020):
        node.dataplane.inject(3, packets.first_packet((MACS[3], GATEWAY), ends, "udp", (client, 7777)))
    _, before = ask(node, capsys, "connections", "--limit", "0")
    monkeypatch.setattr("kulvert.inspection.registers._ALL_CELLS_SHARE", share)
    monkeypatch.setattr("kulvert.inspection.connections._DENSE_SHARE", share)
    monkeypatch.setattr("kulvert.inspection.connections._BATCH", 3)
    _, after = ask(node, capsys, "connections", "--limit", "0")
    assert after == before and len(after) >= 20


@pytest.mark.skipif(shutil.which("p4c-bm2-ss") is None, reason="p4c-bm2-ss is not on the PATH")
def test_what_p4c_made_of_the_pipeline_is_followed_alike(node: Node, tmp_path: Path) -> None:
    program = load(build("small", tmp_path, "p4c").bmv2_json.read_bytes())
    ends = (parse_address("10.1.0.3"), parse_address("10.1.0.2"))
    frame = packets.first_packet((MACS[3], GATEWAY), ends, "tcp", (4242, 8080))
    with Switch(Target(node.address, 0)) as switch:
        found = Interpreter(program, SwitchEntries(switch, program), watch="drop_reason").run(frame, 3)
    assert found.egress_port is None and found.decided_by is not None
    assert (found.decided_by.table or "").endswith("ingress_policy_table")
