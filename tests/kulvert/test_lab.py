"""The lab as a user runs it: the demonstration holds, and nothing is left, also when it is stopped in the middle."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kulvert.commands import assert_clear, run_kulvert
from tests.kulvert.namespaces import why_no_sandbox

pytestmark = pytest.mark.skipif(bool(why_no_sandbox()), reason=f"no sandbox here: {why_no_sandbox()}")

_UP_SECONDS = 560


def _descendants(pid: int) -> set[int]:
    """The processes below `pid`."""
    parents: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(path.parent.name)] = int(fields[1])
    found = {pid}
    while new := {child for child, parent in parents.items() if parent in found} - found:
        found |= new
    return found - {pid}


def _alive(pids: set[int]) -> set[int]:
    return {pid for pid in pids if Path(f"/proc/{pid}").exists()}


def test_the_demonstration_holds_and_leaves_nothing(tmp_path: Path) -> None:
    result = run_kulvert(["lab", "demo", "--log-dir", str(tmp_path)], timeout=_UP_SECONDS)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "expectations held" in result.stdout
    assert (tmp_path / "controller.log").read_text()
    # Of the lab's own names: others' interfaces come and go.
    assert not [path.name for path in Path("/sys/class/net").iterdir() if path.name.startswith("kvp")]


@pytest.mark.parametrize(("signum", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_demonstration_can_be_stopped_in_the_middle(signum: signal.Signals, status: int) -> None:
    command = [sys.executable, "-m", "kulvert", "lab", "demo"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        for line in process.stdout:
            if "pods reach one another" in line:
                break
        started = _descendants(process.pid)
        assert len(started) > 8, "the first process, the switch, the controller and the pods"
        process.send_signal(signum)
        assert process.wait(timeout=120) == status
        assert "Traceback" not in process.stderr.read()
    deadline = time.monotonic() + 60
    while _alive(started) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _alive(started)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A lab that is up; the environment in which the command finds it."""
    environment = {"XDG_RUNTIME_DIR": str(tmp_path_factory.mktemp("runtime"))}
    command = [sys.executable, "-m", "kulvert", "lab", "up"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ | environment
    ) as process:
        assert process.stdout is not None
        said = ""
        for line in process.stdout:
            said += line
            if "Ctrl-C" in line:
                break
        assert "kulvert lab exec" in said, said
        yield environment
        run_kulvert(["lab", "down"], environment=environment)
        assert process.wait(timeout=120) == 143


def _exec(lab: dict[str, str], *command: str) -> subprocess.CompletedProcess[str]:
    return run_kulvert(["lab", "exec", *command], environment=lab)


_FETCH = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1], timeout=60).read().decode())"


def test_a_command_in_a_pod_reaches_a_service_by_name(lab: dict[str, str]) -> None:
    result = _exec(lab, "visitor", "--", sys.executable, "-c", _FETCH, "http://dashboard.search/upstream")
    assert result.returncode == 0, result.stderr
    assert '"pod":"dashboard-' in result.stdout
    assert '"upstream":"search-store-' in result.stdout


def test_the_node_is_a_place_for_commands_and_their_status_comes_out(lab: dict[str, str]) -> None:
    assert _exec(lab, "node", "--", sys.executable, "-c", "import sys; sys.exit(7)").returncode == 7


def test_the_switch_is_where_kulvert_can_be_asked(lab: dict[str, str]) -> None:
    status = _exec(lab, "switch", "--", "kulvert", "status", "--output", "json")
    assert status.returncode == 0, status.stderr
    assert json.loads(status.stdout)["is_ready"]
    visitor = "pod/visitors/visitor-84d7f6c9b-k6b8s"
    allowed = _exec(lab, "switch", "--", "kulvert", "trace", visitor, "svc/search/dashboard:80")
    assert allowed.returncode == 0 and "forwarded to port" in allowed.stdout, allowed.stdout + allowed.stderr
    denied = _exec(lab, "switch", "--", "kulvert", "trace", visitor, "svc/search/search-store:9200")
    assert denied.returncode == 1 and "isolated by NetworkPolicy/search/" in " ".join(denied.stdout.split())
    assert _exec(lab, "switch", "--", "kulvert", "diff").returncode == 0


def test_no_such_pod_is_told_with_those_there_are(lab: dict[str, str]) -> None:
    assert_clear(_exec(lab, "nobody", "--", "true"), "nobody", "node", "visitor-")


def test_without_a_lab_exec_and_down_say_so(tmp_path: Path) -> None:
    environment = {"XDG_RUNTIME_DIR": str(tmp_path)}
    assert_clear(run_kulvert(["lab", "exec", "x", "--", "true"], environment=environment), "no lab is running")
    assert_clear(run_kulvert(["lab", "down"], environment=environment), "no lab is running")


def test_a_folder_without_manifests_makes_no_lab(tmp_path: Path) -> None:
    assert_clear(run_kulvert(["lab", "up", "--manifests", str(tmp_path)], timeout=_UP_SECONDS), str(tmp_path))
