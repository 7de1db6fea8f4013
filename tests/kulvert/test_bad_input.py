"""Bad input, met as a user meets it: a clear message that names the place, a non-zero exit, nothing else disturbed."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kulvert.lab.demo import MANIFESTS
from tests.kulvert.commands import assert_clear, run_kulvert
from tests.ports import free_port

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a built pipeline."""
    folder = tmp_path_factory.mktemp("pipeline")
    result = run_kulvert(["build", "--target", "small", "--output-dir", str(folder), "--quiet"])
    assert result.returncode == 0, result.stderr
    return folder


def _controller(pipeline: Path, *arguments: str, manifests: Path = MANIFESTS) -> list[str]:
    return [
        "controller",
        *("--node", "lab-node", "--manifests", str(manifests)),
        *("--p4info", str(pipeline / "node_v1model.p4info.txtpb")),
        *("--device-config", str(pipeline / "node_v1model.json")),
        *arguments,
    ]


# -- P4


def test_a_p4_error_has_its_place_and_leaves_no_output(tmp_path: Path) -> None:
    source = tmp_path / "bad.p4"
    source.write_text("#include <core.p4>\n\nconst bit<8> x = y;\n")
    output = tmp_path / "bad.json"
    result = run_kulvert(["compile", "--arch", "v1model", "-o", str(output), str(source)])
    assert_clear(result, f"{source}:3:18: error", "const bit<8> x = y;")
    assert not output.exists()


@pytest.mark.parametrize("argument", ["no-such-file.p4", "."])
def test_a_program_that_cannot_be_read_is_named(tmp_path: Path, argument: str) -> None:
    assert_clear(run_kulvert(["compile", "--arch", "v1model", "-o", "x.json", argument], cwd=tmp_path), argument)


def test_a_p4_error_in_the_pipeline_keeps_the_last_good_build(tmp_path: Path) -> None:
    copy = tmp_path / "checkout"
    for name in ("pyproject.toml", "p4src", "templates", "targets", "kulvert", "p4base", "p4compiler"):
        copy.mkdir(exist_ok=True)
        subprocess.run(["cp", "-r", str(CHECKOUT / name), str(copy)], check=True)
    environment = {"PYTHONPATH": str(copy)}
    arguments = ["build", "--target", "small", "--quiet"]
    assert run_kulvert(arguments, cwd=copy, environment=environment).returncode == 0
    artifact = copy / "build" / "small" / "node_v1model.json"
    good = artifact.read_bytes()
    policy = copy / "p4src" / "stages" / "policy.p4"
    policy.write_text(policy.read_text() + "\ncontrol { }\n")
    result = run_kulvert(arguments, cwd=copy, environment=environment)
    assert_clear(result, "policy.p4:")
    assert artifact.read_bytes() == good


# -- targets


def test_a_profile_that_cannot_work_is_refused_with_the_reason(tmp_path: Path) -> None:
    target = tmp_path / "tiny.toml"
    text = (CHECKOUT / "targets" / "small.toml").read_text()
    lines = ["port_table = -1" if line.startswith("port_table") else line for line in text.splitlines()]
    target.write_text("\n".join(lines))
    result = run_kulvert(["build", "--target", str(target)], cwd=tmp_path)
    assert_clear(result, "tiny.toml", "port_table")
    assert not (tmp_path / "build").exists() or not list((tmp_path / "build").rglob("*.json"))


def test_a_target_file_with_a_typing_error_has_its_line(tmp_path: Path) -> None:
    target = tmp_path / "odd.toml"
    target.write_text("description = \n")
    assert_clear(run_kulvert(["build", "--target", str(target)], cwd=tmp_path), "odd.toml", "1")


# -- the switch


def test_an_interface_that_does_not_exist_is_named() -> None:
    address = f"127.0.0.1:{free_port()}"
    result = run_kulvert(["switch", "-i", "0@kvnone0", "--no-p4", "--", "--grpc-server-addr", address])
    assert_clear(result, "kvnone0")


def test_an_address_in_use_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        result = run_kulvert(["switch", "--no-p4", "--", "--grpc-server-addr", address])
        assert_clear(result, address)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"program": 1}'])
def test_a_program_that_is_no_bmv2_json_is_refused(tmp_path: Path, content: str) -> None:
    program = tmp_path / "odd.json"
    program.write_text(content)
    address = f"127.0.0.1:{free_port()}"
    assert_clear(run_kulvert(["switch", str(program), "--", "--grpc-server-addr", address]), "odd.json")


# -- the controller


@contextmanager
def _running_switch() -> Iterator[str]:
    """A switch without interfaces; its address."""
    address = f"127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "kulvert", "switch", "--no-p4", "--", "--grpc-server-addr", address]
    command += ["--cpu-port", "510"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as switch:
        try:
            host, _, port = address.rpartition(":")
            deadline = time.monotonic() + 200
            while time.monotonic() < deadline:
                try:
                    socket.create_connection((host, int(port)), timeout=20).close()
                    break
                except OSError:
                    assert switch.poll() is None, switch.stdout and switch.stdout.read()
                    time.sleep(0.05)
            yield address
        finally:
            switch.terminate()
            switch.wait(timeout=100)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"a: [1\n", "line 2, column 1: not YAML"),
        (b"\xff\xfe", "not a text file"),
        (b"", "it is no kubeconfig"),
        (b"[]", "it is no kubeconfig"),
        (b"clusters: []\n", "current-context"),
    ],
)
def test_a_kubeconfig_that_is_none_is_named(pipeline: Path, tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "kube.conf"
    path.write_bytes(content)
    info, json = (str(pipeline / f"node_v1model.{suffix}") for suffix in ("p4info.txtpb", "json"))
    result = run_kulvert(["controller", "--kubeconfig", str(path), "--p4info", info, "--device-config", json])
    assert_clear(result, "kube.conf", reason)


@pytest.mark.parametrize("option", ["--config", "--attachments"])
def test_a_binary_file_is_told_as_such(pipeline: Path, tmp_path: Path, option: str) -> None:
    (tmp_path / "noise").write_bytes(b"a: \xff")
    arguments = _controller(pipeline, option, str(tmp_path / "noise"))
    assert_clear(run_kulvert(arguments), "noise: cannot be read: not a text file: byte 3 is no UTF-8")


def test_an_unreachable_switch_is_named(pipeline: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    assert_clear(run_kulvert(_controller(pipeline, "--switch", address, "--once")), address)


def test_no_such_folder_and_no_such_p4info_are_named(pipeline: Path, tmp_path: Path) -> None:
    assert_clear(run_kulvert(_controller(pipeline, manifests=tmp_path / "none")), "none")
    (tmp_path / "empty").mkdir()
    assert_clear(run_kulvert(_controller(tmp_path / "empty")), "node_v1model.p4info.txtpb")


def test_a_p4info_that_is_none_is_named(pipeline: Path, tmp_path: Path) -> None:
    for name in ("node_v1model.json", "node_v1model.p4info.txtpb"):
        (tmp_path / name).write_text("neither this nor that")
    assert_clear(run_kulvert(_controller(tmp_path, "--once")), "node_v1model.p4info.txtpb")


def test_an_attachments_file_with_a_mistake_has_its_line(pipeline: Path, tmp_path: Path) -> None:
    attachments = tmp_path / "ports.yaml"
    attachments.write_text("pods:\n  - name: a\n    port: 9000\n    mac: 02:00:00:00:00:01\n")
    assert_clear(
        run_kulvert(_controller(pipeline, "--attachments", str(attachments), "--once")), "ports.yaml:3", "port"
    )


def test_one_malformed_manifest_is_named_and_stops_no_other(pipeline: Path, tmp_path: Path) -> None:
    manifests = tmp_path / "manifests"
    manifests.mkdir()
    for path in MANIFESTS.glob("*.yaml"):
        (manifests / path.name).write_text(path.read_text())
    (manifests / "99-broken.yaml").write_text("kind: Service\n  nowhere: [\n")
    attachments = tmp_path / "ports.yaml"
    attachments.write_text("node: {port: 500, mac: '02:00:00:00:00:01'}\n")
    with _running_switch() as address:
        arguments = ["--switch", address, "--attachments", str(attachments), "--once"]
        result = run_kulvert(_controller(pipeline, *arguments, manifests=manifests))
        assert_clear(result, "99-broken.yaml:2")
        assert "in step" in result.stdout + result.stderr, "the other manifests were not written"
        again = run_kulvert(_controller(pipeline, *arguments))
        assert " 0 inserted, 0 modified, 0 deleted" in again.stdout + again.stderr, "something was missing"


def test_a_table_too_small_is_named_with_the_object_and_the_rest_works(pipeline: Path, tmp_path: Path) -> None:
    target = tmp_path / "narrow.toml"
    lines = (CHECKOUT / "targets" / "small.toml").read_text().splitlines()
    target.write_text(
        "\n".join("service_endpoint_table = 2" if line.startswith("service_endpoint_table") else line for line in lines)
    )
    narrow = tmp_path / "pipeline"
    built = run_kulvert(["build", "--target", str(target), "--output-dir", str(narrow), "--quiet"])
    assert built.returncode == 0, built.stderr
    with _running_switch() as address:
        result = run_kulvert(_controller(narrow, "--switch", address, "--once"))
    assert_clear(result, "service_endpoint_table", "2")
    assert "Service/search/" in result.stdout + result.stderr
