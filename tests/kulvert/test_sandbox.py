"""The sandbox leaves nothing behind, however it ends, and the lab's wires carry real traffic."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kulvert.lab.sandbox import _missing
from tests.kulvert.namespaces import why_no_sandbox

needs_sandbox = pytest.mark.skipif(bool(why_no_sandbox()), reason=f"no sandbox here: {why_no_sandbox()}")


@pytest.mark.parametrize(
    ("number", "uid", "said"),
    [
        (errno.EPERM, 0, "--privileged"),
        (errno.EPERM, 1000, "root is needed, or user namespaces"),
        (errno.ENOSPC, 1000, "user.max_"),
        (errno.EINVAL, 0, "Invalid argument"),
    ],
)
def test_what_is_missing_is_said_in_one_line(number: int, uid: int, said: str) -> None:
    message = _missing(OSError(number, "unshare"), uid)
    assert said in message
    assert "\n" not in message


_SLEEPER = """
import os, subprocess, sys, time
from kulvert.failures import run_guarded
from kulvert.lab.network import LabNetwork
from kulvert.lab.sandbox import run_in_sandbox

def body():
    network = LabNetwork()
    namespace = network.add_namespace("kv-test")
    network.add_wire(namespace, switch_interface="kvtest0", mac="02:00:00:00:00:01", offloads=False)
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", sys.argv[1]])
    try:
        print("ready", flush=True)
        time.sleep(600)
    finally:
        print("cleaned up", flush=True)

sys.exit(run_guarded(lambda: run_in_sandbox(body, name="test"), name="test"))
"""


def _processes_with(word: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes()
        except OSError:
            continue
        if word.encode() in command and path.parent.name != str(os.getpid()):
            found.append(path.parent.name)
    return found


@needs_sandbox
@pytest.mark.parametrize(
    ("signum", "status", "tidy"),
    [(signal.SIGINT, 130, True), (signal.SIGTERM, 143, True), (signal.SIGKILL, -9, False)],
)
def test_nothing_is_left_after_a_signal(signum: signal.Signals, status: int, tidy: bool) -> None:
    mark = f"kulvert-sandbox-{os.getpid()}-{signum}"
    with subprocess.Popen([sys.executable, "-c", _SLEEPER, mark], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        deadline = time.monotonic() + 60  # the child may still be on its way through exec
        while len(_processes_with(mark)) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        started = len(_processes_with(mark))
        interfaces = {path.name for path in Path("/sys/class/net").iterdir()}
        process.send_signal(signum)
        rest = process.stdout.read()
        assert process.wait(timeout=120) == status
        assert ("cleaned up" in rest) == tidy
    assert started == 3, "the supervisor, the first process and its child"
    assert "kvtest0" not in interfaces, "the wire is on the machine's own network"
    deadline = time.monotonic() + 60
    while _processes_with(mark) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _processes_with(mark)


_STATUS = """
import sys
from kulvert.failures import UserError, run_guarded
from kulvert.lab.sandbox import run_in_sandbox

def body():
    if sys.argv[1] == "fail":
        raise UserError("it went wrong")
    return int(sys.argv[1])

sys.exit(run_guarded(lambda: run_in_sandbox(body, name="test"), name="test"))
"""


@needs_sandbox
@pytest.mark.parametrize(("argument", "status", "said"), [("0", 0, ""), ("5", 5, ""), ("fail", 1, "it went wrong")])
def test_the_status_and_the_message_come_out(argument: str, status: int, said: str) -> None:
    run = subprocess.run(
        [sys.executable, "-c", _STATUS, argument], capture_output=True, text=True, timeout=300, check=False
    )
    assert run.returncode == status
    assert said in run.stderr
    assert run.stderr.count("\n") <= 1


_WIRED = """
import os, sys
from ipaddress import ip_address
from pathlib import Path
from kulvert.failures import run_guarded
from kulvert.lab.messages import *
from kulvert.lab.network import LabNetwork
from kulvert.lab.pods import PodAgent
from kulvert.lab.sandbox import run_in_sandbox

PODS = {"a": ("10.0.0.1", "fd00::1"), "b": ("10.0.0.2", "fd00::2")}

def body():
    network = LabNetwork()
    agents = {}
    for number, (name, addresses) in enumerate(PODS.items()):
        namespace = network.add_namespace(name)
        network.add_wire(namespace, switch_interface=f"kvp{number}", mac=f"02:00:00:00:00:0{number}", offloads=False)
        network.configure_pod(namespace, [ip_address(address) for address in addresses])
        agents[name] = PodAgent(name, namespace)
    forward_by_the_kernel(network)
    a, b = agents["a"], agents["b"]
    b.call(ServeHttp(80, "http://10.0.0.1:81/"), Done)
    a.call(ServeHttp(81), Done)
    b.call(ServeUdp(53), Done)
    for address in PODS["b"] if network.has_ipv6 else PODS["b"][:1]:
        reply = a.call(HttpGet(address, 80), HttpReply)
        assert (reply.served_by, reply.error) == ("b", ""), reply
        assert reply.client.removeprefix("::ffff:") in PODS["a"], reply
        assert a.call(UdpAsk(address, 53, flows=5), UdpReply) == UdpReply({"b": 5}, 0)
        assert a.call(Ping(address, count=2), PingReply).received == 2
    assert a.call(HttpGet("10.0.0.2", 80, "/upstream"), HttpReply).upstream == "a"
    assert a.call(HttpGet("10.0.0.2", 1), HttpReply).error == "refused"
    assert a.call(HttpGet("10.0.0.77", 1, timeout=0.2), HttpReply).error
    assert a.call(UdpAsk("10.0.0.2", 1, timeout=0.2), UdpReply).lost == 1
    assert a.call(Ping("10.0.0.77", count=1, timeout=0.2), PingReply).received == 0
    seen = {"s": 0, "l": 0}
    while min(seen.values()) < 5:  # how much a load does in its time says how busy the machine is
        a.call(StartStream("s", "10.0.0.2", 80, interval=0.05), Done)
        a.call(StartLoad("l", ("10.0.0.2",), 80, per_second=20), Done)
        import time; time.sleep(0.5)
        for name in seen:
            load = a.call(StopLoad(name), LoadReply)
            seen[name] += load.requests
            assert not load.failures and sum(load.served_by.values()) == load.served_by.get("b", 0) == load.requests, load
    return 0

def forward_by_the_kernel(network):
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    if network.has_ipv6:
        Path("/proc/sys/net/ipv6/conf/all/forwarding").write_text("1")
    links = network._links
    for number, (ipv4, ipv6) in enumerate(PODS.values()):
        index = links.link_lookup(ifname=f"kvp{number}")[0]
        links.addr("add", index=index, address="169.254.1.1", prefixlen=32)
        links.route("add", dst=f"{ipv4}/32", oif=index, scope="link")
        if network.has_ipv6:
            Path(f"/proc/sys/net/ipv6/conf/kvp{number}/disable_ipv6").write_text("0")
            links.addr("add", index=index, address="fe80::1", prefixlen=64, flags=2)
            links.route("add", dst=f"{ipv6}/128", oif=index)

sys.exit(run_guarded(lambda: run_in_sandbox(body, name="test"), name="test"))
"""


@needs_sandbox
def test_pods_talk_over_their_wires_and_report_what_they_see() -> None:
    """The kernel's own forwarding stands in for the switch: this is about the lab's wires and agents."""
    run = subprocess.run(
        [sys.executable, "-c", _WIRED],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env=os.environ | {"KULVERT_DEBUG": "1"},
    )
    assert run.returncode == 0, run.stderr
