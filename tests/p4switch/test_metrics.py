"""The switch's metrics, its live ports by command, and the replacement of a program under traffic."""

from __future__ import annotations

import json
import queue
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest
from click.testing import CliRunner, Result

from kulvert.commands.ports import command
from kulvert.failures import UserError
from p4base.messages import p4r
from p4base.rpc import p4r_grpc
from p4switch.dataplane import Action, Counter, Match
from p4switch.main import serve
from p4switch.metrics import SwitchCollector
from p4switch.native import NativeDataplane
from p4switch.options import parse_args
from tests.p4switch.compiled import compiled
from tests.p4switch.test_cli import probe


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Starts a switch in this process; the line that it announces itself with."""
    stop = threading.Event()
    threads: list[threading.Thread] = []

    def begin(arguments: str) -> str:
        (tmp_path / "tools.json").write_bytes(compiled("tools"))
        ready = tmp_path / "ready"
        line = f"{arguments} --ready-file {ready} {tmp_path / 'tools.json'} -- --grpc-server-addr 127.0.0.1:0"
        threads.append(threading.Thread(target=serve, args=(parse_args(line.split()), stop), daemon=True))
        threads[-1].start()
        deadline = time.monotonic() + 300
        while not (ready.exists() and ready.read_text().endswith("\n")):
            assert threads[-1].is_alive() and time.monotonic() < deadline
            time.sleep(0.02)
        return ready.read_text()

    yield begin
    stop.set()
    for thread in threads:
        thread.join()


def address_of(what: str, line: str) -> str:
    return line.partition(f"{what} on ")[2].partition(",")[0]


def scrape(address: str) -> dict[str, float]:
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=100) as answer:
        text = answer.read().decode()
    return {
        name: float(value)
        for name, _, value in (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    }


def test_metrics_follow_packets_entries_and_writes(start: Callable[[str], str], tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    line = start(
        f"--metrics-address 127.0.0.1:0 --thrift-port 0 --trace=json --trace-file {trace} -i 1@unix:{tmp_path}/one"
    )
    metrics, switch = address_of("metrics", line), address_of("Thrift", line)
    before = scrape(metrics)
    assert before['kulvert_switch_table_entries{table="I.routes"}'] == 0
    assert before['kulvert_switch_table_entries{table="I.fixed"}'] == 2
    assert before['kulvert_switch_table_size{table="I.routes"}'] == 3
    assert before['kulvert_switch_profile_size{profile="members"}'] == 16
    labels = f'{{interface="unix:{tmp_path}/one",port="1"}}'
    assert before[f"kulvert_switch_port_up{labels}"] == 1
    assert any(name.startswith("kulvert_switch_pipeline_info{") for name in before)

    def ports(*arguments: str) -> Result:
        return CliRunner().invoke(command, ["--switch", switch, *arguments])

    assert ports("add", "2", f"unix:{tmp_path}/two").exit_code == 0
    assert "unix:" in ports("list").stdout
    refused = ports("add", "2", f"unix:{tmp_path}/three")
    assert isinstance(refused.exception, UserError) and "the switch refused" in str(refused.exception)
    assert ports("remove", "2").exit_code == 0
    assert ports("remove", "2").exit_code == 1

    from p4switch.thrift.client import ThriftClient
    from p4switch.thrift.services import AddEntryOptions, LpmParam, MatchParam, MatchType

    host, _, port = switch.rpartition(":")
    client = ThriftClient(host, int(port), 20)
    key = [MatchParam(MatchType.LPM, lpm=LpmParam(b"\x0a\0\0\0", 8))]
    for port_number in (b"\x01\xff",):  # the drop port
        client.call("standard", "bm_mt_add_entry", "I.routes", key, "I.forward", [port_number], AddEntryOptions())
    client.close()
    import socket

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as peer:
        peer.sendto(probe(0x0A000001), f"{tmp_path}/one")
        deadline = time.monotonic() + 100
        while (after := scrape(metrics))['kulvert_switch_dropped_packets_total{reason="ingress"}'] == 0:
            assert time.monotonic() < deadline
    assert after['kulvert_switch_table_entries{table="I.routes"}'] == 1
    assert after[f"kulvert_switch_port_receive_packets_total{labels}"] == 1
    with grpc.insecure_channel(address_of("P4Runtime", line)) as channel, pytest.raises(grpc.RpcError):
        p4r_grpc.P4RuntimeStub(channel).Write(p4r.WriteRequest(device_id=0), timeout=100)
    assert scrape(metrics)['kulvert_switch_write_seconds_count{outcome="refused"}'] == 1
    deadline = time.monotonic() + 100
    while not trace.read_text().endswith("\n"):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    steps = json.loads(trace.read_text().splitlines()[0])["steps"]
    assert steps[-1] == {"what": "drop", "name": "", "source": "", "detail": {"why": "by the ingress"}}


def test_a_program_is_replaced_under_traffic() -> None:
    """Every packet goes through one of the programs as a whole, none is lost, and the entries of the new one are new."""
    plane = NativeDataplane()
    sent: queue.Queue[bytes] = queue.Queue()
    plane.load(compiled("tools"))

    class Sink:
        name = "sink"

        def send(self, frame: bytes) -> bool:
            sent.put(frame)
            return True

        def close(self) -> None: ...

    plane.endpoints.put(2, Sink())
    stop = threading.Event()
    counts = {"in": 0}

    def drive() -> None:
        while not stop.is_set():
            plane.receive(2, probe(0x0A000001, index=counts["in"] % 4))
            counts["in"] += 1
            time.sleep(0.0005)  # Python's locks are not fair: others want the switch too

    def prepare() -> None:
        plane.insert_entry("I.routes", Match(b"\x0a\0\0\0", b"\xff\0\0\0"), Action("I.forward", b"\0\2"))

    prepare()
    thread = threading.Thread(target=drive, daemon=True)
    thread.start()
    for _ in range(8):
        plane.load(compiled("tools"))
        assert plane.read_counter("I.indexed", 7) == [Counter(0, 0)]
        prepare()
        time.sleep(0.005)
    stop.set()
    thread.join()
    plane.close()
    assert counts["in"] > 8
    frames = [sent.get_nowait() for _ in range(sent.qsize())]
    assert 0 < len(frames) <= counts["in"]
    assert set(frames) <= {probe(0x0A000001, index=index) for index in range(4)}


def test_counters_do_not_fall_when_programs_and_ports_go(tmp_path: Path) -> None:
    """What was dropped stays counted, and a port's own series goes on until the port goes."""
    plane = NativeDataplane()
    try:
        collector = SwitchCollector(plane)

        def counters() -> dict[tuple[str, tuple[str, ...]], float]:
            return {
                (sample.name, tuple(sample.labels.values())): sample.value
                for metric in collector.collect()
                if metric.type == "counter"
                for sample in metric.samples
            }

        plane.load(compiled("packets"))
        for port in (0, 1):
            plane.add_port(port, f"unix:{tmp_path}/{port}")
        last = counters()
        changes: list[Callable[[], None]] = [
            lambda: None,
            lambda: plane.load(compiled("tools")),
            lambda: plane.load(compiled("packets")),
            lambda: plane.remove_port(1),
        ]
        for change in changes:
            for _ in range(3):
                plane.receive(0, bytes(12) + b"\x88\xb5\x01\0\0\0")  # mark_to_drop
                plane.endpoints.receive(0, bytes(12) + b"\x88\xb5\x01\0\0\0")
            change()
            now = counters()
            assert all(now[name] >= value for name, value in last.items() if name in now)
            assert {name for name in last if name not in now} <= {name for name in last if name[1][:1] == ("1",)}
            last = now
        assert last["kulvert_switch_dropped_packets_total", ("ingress",)] >= 12
        assert last["kulvert_switch_port_receive_packets_total", ("0", f"unix:{tmp_path}/0")] == 12
    finally:
        plane.close()
