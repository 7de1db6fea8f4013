"""P4Runtime entries written and read a second: `kulvert switch`, and simple_switch_grpc in the same run if it is on the PATH.

The client sends requests that were serialised before the clock starts, and does not look into the answers before it
stops, so that the server is measured and not the client. One Write at a time, as a controller that waits for each answer.

The memory is what the server's process grows by while a table of a 13-byte key is filled.

python -m bench.p4runtime_writes [--entries N] [--batch N] [--flows N]
"""

from __future__ import annotations

import argparse
import contextlib
import queue
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
from google.protobuf import text_format
from rich.console import Console
from rich.table import Table

from kulvert.failures import UserError, run_guarded
from p4base.bytestring import encode
from p4base.lookup import P4InfoIndex
from p4base.messages import p4i, p4r
from p4base.rpc import p4r_grpc

BMV2 = "simple_switch_grpc"
SOURCE = Path(__file__).with_name("tables.p4")
ENTRIES = 100_000
BATCH = 1_000
FLOWS = 1_000_000

_DEVICE_ID = 1
_START_SECONDS = 30


@dataclass(frozen=True, slots=True)
class WriteRate:
    """One switch: entries a second, and the megabytes that a table of 13-byte keys takes."""

    switch: str
    exact_inserts: float
    exact_reads: float
    lpm_inserts: float
    lpm_reads: float
    flow_megabytes: float


class Client:
    """A primary that sends and receives bytes."""

    def __init__(self, address: str) -> None:
        options = [("grpc.max_receive_message_length", 256 << 20), ("grpc.max_send_message_length", 256 << 20)]
        self._channel = grpc.insecure_channel(address, options=options)
        self._stub = p4r_grpc.P4RuntimeStub(self._channel)
        self._write = self._channel.unary_unary("/p4.v1.P4Runtime/Write", None, None)
        self._read = self._channel.unary_stream("/p4.v1.P4Runtime/Read", None, None)
        requests: queue.SimpleQueue[p4r.StreamMessageRequest] = queue.SimpleQueue()
        self._stream = self._stub.StreamChannel(iter(requests.get, None))
        hello = p4r.StreamMessageRequest()
        hello.arbitration.device_id = _DEVICE_ID
        hello.arbitration.election_id.low = 1
        requests.put(hello)
        next(iter(self._stream))

    def set_pipeline(self, p4info: p4i.P4Info, bmv2_json: bytes) -> None:
        config = p4r.ForwardingPipelineConfig(p4info=p4info, p4_device_config=bmv2_json)
        self._stub.SetForwardingPipelineConfig(
            p4r.SetForwardingPipelineConfigRequest(
                device_id=_DEVICE_ID,
                election_id=p4r.Uint128(low=1),
                action=p4r.SetForwardingPipelineConfigRequest.VERIFY_AND_COMMIT,
                config=config,
            )
        )

    def write(self, requests: list[bytes]) -> float:
        """Send the requests one after the other; the seconds it took."""
        start = time.perf_counter()
        for request in requests:
            self._write(request)
        return time.perf_counter() - start

    def read(self, table_id: int) -> tuple[float, int]:
        """Read a whole table; the seconds it took and the number of entries."""
        request = p4r.ReadRequest(device_id=_DEVICE_ID)
        request.entities.add().table_entry.table_id = table_id
        start = time.perf_counter()
        answers = list(self._read(request.SerializeToString()))
        seconds = time.perf_counter() - start
        return seconds, sum(len(p4r.ReadResponse.FromString(answer).entities) for answer in answers)

    def close(self) -> None:
        self._channel.close()


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.p4runtime_writes", description=__doc__.partition("\n")[0])
    parser.add_argument("--entries", type=int, default=ENTRIES, help=f"entries of each table (default {ENTRIES})")
    parser.add_argument("--batch", type=int, default=BATCH, help=f"updates of a WriteRequest (default {BATCH})")
    parser.add_argument("--flows", type=int, default=FLOWS, help=f"entries of the 13-byte key (default {FLOWS})")
    arguments = parser.parse_args()
    console = Console(highlight=False)
    console.print(render(measure(arguments.entries, arguments.batch, arguments.flows), arguments.flows))
    return 0


def measure(entries: int = ENTRIES, batch: int = BATCH, flows: int = FLOWS) -> list[WriteRate]:
    """Each switch there is, one after the other, on the same artifact."""
    switches = [[sys.executable, "-m", "kulvert", "switch"]]
    bmv2 = shutil.which(BMV2)
    if bmv2 is not None:
        switches.append([bmv2, "--log-level", "off"])
    with tempfile.TemporaryDirectory(prefix="kulvert-bench-") as scratch:
        p4info, bmv2_json = _compile(Path(scratch))
        return [_measure_switch(command, p4info, bmv2_json, entries, batch, flows) for command in switches]


def render(rates: list[WriteRate], flows: int = FLOWS) -> Table:
    """The rates as a table, with how many times simple_switch_grpc's they are."""
    table = Table(title="P4Runtime: entries a second", title_justify="left")
    for heading in ("switch", "exact inserts", "exact reads", "LPM inserts", "LPM reads", f"MB for {flows:,} flows"):
        table.add_column(heading, justify="left" if heading == "switch" else "right")
    for rate in rates:
        table.add_row(rate.switch, *(f"{figure:,.0f}" for figure in _figures(rate)))
    if len(rates) == 2:
        ours, theirs = (_figures(rate) for rate in rates)
        table.add_row("ratio", *(f"{a / b:.2f}" for a, b in zip(ours, theirs, strict=True)))
    return table


def _figures(rate: WriteRate) -> tuple[float, ...]:
    return rate.exact_inserts, rate.exact_reads, rate.lpm_inserts, rate.lpm_reads, rate.flow_megabytes


def _compile(folder: Path) -> tuple[p4i.P4Info, bytes]:
    """tables.p4, by Kulvert's compiler."""
    bmv2_json, p4info = folder / "tables.json", folder / "tables.p4info.txtpb"
    command = [sys.executable, "-m", "kulvert", "compile", "--arch", "v1model", "-o", str(bmv2_json)]
    command += ["--p4runtime-files", str(p4info), str(SOURCE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(f"{SOURCE} does not compile:\n{done.stderr.strip()}")
    return text_format.Parse(p4info.read_text(), p4i.P4Info()), bmv2_json.read_bytes()


def _measure_switch(
    command: list[str], p4info: p4i.P4Info, bmv2_json: bytes, entries: int, batch: int, flows: int
) -> WriteRate:
    name = BMV2 if BMV2 in command[0] else "kulvert switch"
    index = P4InfoIndex(p4info)
    with _running(command) as (address, process):
        client = Client(address)
        client.set_pipeline(p4info, bmv2_json)
        figures = []
        for table_name, fill in (("exact_table", _fill_exact), ("lpm_table", _fill_lpm)):
            table_id = index.tables[table_name].preamble.id
            requests = _requests(index, table_id, fill, entries, batch)
            figures.append(entries / client.write(requests))
            seconds, found = client.read(table_id)
            if found != entries:
                raise UserError(f"{name}: {found} entries read from {table_name}, {entries} were written")
            figures.append(entries / seconds)
        table_id = index.tables["flow_table"].preamble.id
        before = _resident_megabytes(process)
        for first in range(0, flows, FLOWS // 10):  # not all the requests at once
            client.write(_requests(index, table_id, _fill_flow, min(FLOWS // 10, flows - first), batch, first))
        figures.append(_resident_megabytes(process) - before)
        client.close()
    return WriteRate(name, *figures)


def _requests(
    index: P4InfoIndex,
    table_id: int,
    fill: Callable[[p4r.TableEntry, int], None],
    entries: int,
    batch: int,
    start: int = 0,
) -> list[bytes]:
    action_id = index.actions["forward"].preamble.id
    requests = []
    end = start + entries
    for first in range(start, end, batch):
        request = p4r.WriteRequest(device_id=_DEVICE_ID, election_id=p4r.Uint128(low=1))
        for i in range(first, min(first + batch, end)):
            update = request.updates.add(type=p4r.Update.INSERT)
            entry = update.entity.table_entry
            entry.table_id = table_id
            fill(entry, i)
            action = entry.action.action
            action.action_id = action_id
            action.params.add(param_id=1, value=encode(i % 500))
            action.params.add(param_id=2, value=encode(0x0A0000000000 + i))
        requests.append(request.SerializeToString())
    return requests


def _fill_exact(entry: p4r.TableEntry, i: int) -> None:
    entry.match.add(field_id=1).exact.value = encode(0x0A000000 + i)
    entry.match.add(field_id=2).exact.value = encode(i * 2654435761 % 2**32)


def _fill_lpm(entry: p4r.TableEntry, i: int) -> None:
    match = entry.match.add(field_id=1)
    match.lpm.value = encode(0x0A000000 + (i << 8))
    match.lpm.prefix_len = 24


def _fill_flow(entry: p4r.TableEntry, i: int) -> None:
    values = (0x0A000000 + i, i * 2654435761 % 2**32, 6, i % 65535 + 1, 443)
    for field_id, value in enumerate(values, 1):
        entry.match.add(field_id=field_id).exact.value = encode(value)


def _resident_megabytes(process: subprocess.Popen[bytes]) -> float:
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


@contextlib.contextmanager
def _running(command: list[str]) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Start a switch without a program; the address on which it listens, and its process."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [*command, "--device-id", str(_DEVICE_ID), "--no-p4", "--", "--grpc-server-addr", address]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not _listens(address):
            if process.poll() is not None or time.monotonic() > deadline:
                raise UserError(f"{' '.join(command)}: does not listen on {address}")
            time.sleep(0.05)
        yield address, process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=1):
        return True
    return False


if __name__ == "__main__":
    sys.exit(run_guarded(main, name="p4runtime_writes"))
