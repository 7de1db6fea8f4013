"""p4runtime-shell, an independent client with generated code of its own, on the switch.

It needs older packages than Kulvert, so it lives in an environment of its own: `make shell` makes it (and runs this), and
without it these tests are skipped.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf import text_format

from kulvert.inspection import shell
from p4switch.service.core import Device
from p4switch.service.server import P4RuntimeServer
from tests.p4switch.compiled import compiled_with_info
from tests.p4switch.conftest import PortedNativeDataplane
from tests.p4switch.harness import DEVICE_ID

SCRIPT = """
import sys
import p4runtime_sh.shell as sh
address, info, program = sys.argv[1:]
sh.setup(device_id=1, grpc_addr=address, election_id=(0, 1), config=sh.FwdPipeConfig(info, program), verbose=False)
try:
    entry = sh.TableEntry("forward")(action="send")
    entry.match["hdr.ethernet.dst"] = "00:00:00:00:00:0a"
    entry.action["port"] = "2"
    entry.metadata = b"note"
    entry.idle_timeout_ns = 5
    entry.insert()
    (read,) = sh.TableEntry("forward").read()
    assert (read.metadata, read.idle_timeout_ns) == (b"note", 5), read
    try:
        entry.insert()
    except Exception as error:
        print("refused:", error)
    entry.action["port"] = "3"
    entry.modify()
    limit = sh.TableEntry("limit")(action="metered")
    limit.match["hdr.ethernet.src"] = "1"
    limit.action["port"] = "1"
    limit.meter_config.cir, limit.meter_config.pir, limit.meter_config.pburst = 1, 2, 3
    limit.counter_data.packet_count = 4
    limit.insert()
    (counter,) = sh.DirectCounterEntry("hits").read()
    assert counter.packet_count == 4
    (meter,) = sh.DirectMeterEntry("byte_meter").read()
    assert (meter.cir, meter.pir, meter.pburst) == (1, 2, 3)
    cell = sh.MeterEntry("packet_meter")
    cell.index, cell.cir, cell.pir, cell.pburst = 1, 1, 1, 1
    cell.modify()
    assert [c.index for c in sh.MeterEntry("packet_meter").read() if c.cir] == [1]
    group = sh.MulticastGroupEntry(1)
    group.add(1, 1).add(2, 2).insert()
    assert len(list(sh.MulticastGroupEntry().read())) == 1
    session = sh.CloneSessionEntry(7)
    session.add(1, 1).insert()
    for each in (entry, limit, group, session):
        each.delete()
    assert not list(sh.TableEntry("forward").read())
finally:  # its threads would keep the process
    sh.teardown()
print("done")
"""


@pytest.fixture
def python() -> str:
    folder = shell._cache() / "p4runtime-shell"
    if os.environ.get("KULVERT_TEST_SHELL") == "make":
        return shell.prepare(folder)
    if not (folder / ".ready").is_file():
        pytest.skip("p4runtime-shell's environment is not there: `make shell` makes it")
    return shell.prepare(folder)


@pytest.fixture
def address() -> Iterator[str]:
    dataplane = PortedNativeDataplane()
    server = P4RuntimeServer(Device(DEVICE_ID, dataplane), "127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{server.port}"
    server.stop(0)
    dataplane.close()


def test_p4runtime_shell(python: str, address: str, tmp_path: Path) -> None:
    bmv2_json, p4info = compiled_with_info("state")
    program, info = tmp_path / "state.json", tmp_path / "state.p4info.txtpb"
    program.write_bytes(bmv2_json)
    info.write_text(text_format.MessageToString(p4info))
    environment = {**os.environ, "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python"}
    done = subprocess.run(
        [python, "-c", SCRIPT, address, str(info), str(program)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    last = done.stdout.strip().splitlines()[-1]
    assert "ALREADY_EXISTS" in done.stdout and "state_ingress.forward" in done.stdout
    assert last == "done"


@pytest.mark.parametrize(
    ("script", "status"), [('table_entry["nosuch"]', 1), ("import sys; sys.exit(3)", 3), ("1 / 0", 1), ("print(1)", 0)]
)
@pytest.mark.usefixtures("python")
def test_a_script_that_fails_ends_the_shell(address: str, script: str, status: int) -> None:
    command = [
        sys.executable,
        "-m",
        "kulvert",
        "shell",
        "--switch",
        address,
        "--device-id",
        str(DEVICE_ID),
        "--",
        script,
    ]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == status, result.stdout + result.stderr
