"""The switch is killed at any moment, also while it builds a pipeline for the first time: it starts again and works."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import grpc

from p4base.messages import p4r
from tests.p4switch.harness import DEVICE_ID, table
from tests.p4switch.programs import TABLE_ID, exact_entry
from tests.p4switch.test_server import RawClient
from tests.ports import free_port

READY = b"kulvert switch ready"


def start(address: str, cache: Path) -> subprocess.Popen[bytes]:
    command = [
        sys.executable,
        "-m",
        "kulvert",
        "switch",
        "--device-id",
        str(DEVICE_ID),
        "--no-p4",
        f"-i1@unix:{cache}/port",
    ]
    process = subprocess.Popen(
        [*command, "--", "--grpc-server-addr", address],
        stdout=subprocess.PIPE,
        env={**os.environ, "XDG_CACHE_HOME": str(cache)},
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith(READY)
    return process


def work(address: str) -> None:
    """Set the pipeline, then write and delete until the switch is gone."""
    client = RawClient(address)
    with contextlib.suppress(grpc.RpcError):
        client.receive()
        client.set_config()
        while True:
            client.insert(*(exact_entry(i) for i in range(50)))
            request = p4r.WriteRequest(device_id=DEVICE_ID, election_id=p4r.Uint128(low=1))
            for i in range(50):
                request.updates.add(type=p4r.Update.DELETE, entity=table(exact_entry(i)))
            client.stub.Write(request, timeout=100)
    client.close()


MOMENTS_S = (0.2, 0.9)


def test_a_killed_switch_starts_again(tmp_path: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    for moment in MOMENTS_S:
        process = start(address, tmp_path)
        client = threading.Thread(target=work, args=(address,))
        client.start()
        time.sleep(moment)
        process.kill()
        process.communicate()
        client.join(100)
        assert not client.is_alive()
    process = start(address, tmp_path)
    survivor = RawClient(address)
    survivor.receive()
    survivor.set_config()
    survivor.insert(exact_entry(1))
    read = p4r.ReadRequest(device_id=DEVICE_ID, entities=[table(p4r.TableEntry(table_id=TABLE_ID["exact_table"]))])
    assert [e.table_entry for r in survivor.stub.Read(read) for e in r.entities] == [exact_entry(1)]
    survivor.close()
    process.terminate()
    process.communicate()
    assert process.returncode == 0
    assert not list((tmp_path / "kulvert").glob("*.lock")), "locks of those that were killed are taken over"
    assert not (tmp_path / "port").exists(), "the socket that they left is taken over, and taken away"
