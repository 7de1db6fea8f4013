"""The controller put together: options, files, exit codes, health, signals."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path

import pytest
import yaml
from google.protobuf import text_format

import controlplane.p4rt.connection as connection_module
from controlplane import app
from controlplane.app import Controller, ControllerOptions, LogFormat, OptionsError, run
from controlplane.attachments import AttachmentsError, parse_attachments
from controlplane.logs import ProgressBar, set_up_logging
from tests.controlplane.cluster import NODE_NAME, pod_value, service_value, slice_value
from tests.controlplane.fake_switch import FakeSwitch
from tests.controlplane.pipeline import make_p4info
from tests.controlplane.test_apiserver import kubeconfig


@pytest.fixture(autouse=True)
def logging_restored() -> Iterator[None]:
    """`run` sets the package's logging up for a process of its own."""
    logger = logging.getLogger("controlplane")
    before = logger.handlers, logger.propagate, logger.level
    yield
    logger.handlers, logger.propagate = before[0], before[1]
    logger.setLevel(before[2])


@contextmanager
def switch() -> Iterator[FakeSwitch]:
    """A switch on a thread of its own, for a controller that runs on this one."""
    server = FakeSwitch()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(server.start(), loop).result(100)
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(100)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture
def options(tmp_path: Path) -> ControllerOptions:
    manifests = tmp_path / "manifests"
    manifests.mkdir()
    values = [service_value(), slice_value(), pod_value("web", "10.1.0.1", port=1)]
    (manifests / "all.yaml").write_text("---\n".join(yaml.safe_dump(value) for value in values))
    p4info, device = tmp_path / "node.p4info.txtpb", tmp_path / "node.json"
    p4info.write_text(text_format.MessageToString(make_p4info()))
    device.write_text("{}")
    return ControllerOptions(NODE_NAME, p4info, device, manifests=manifests, once=True)


def test_once_writes_everything_and_leaves(options: ControllerOptions) -> None:
    with switch() as server:
        assert run(dataclasses.replace(options, switch_address=server.address)) == 0
        assert server.table("service_frontend_table") and server.table("destination_pod_table")
        batches = len(server.batches)
        assert run(dataclasses.replace(options, switch_address=server.address)) == 0
        assert len(server.batches) == batches and server.pushes == 1


def test_once_fails_on_a_bad_manifest_but_writes_the_others(
    options: ControllerOptions, capsys: pytest.CaptureFixture[str]
) -> None:
    assert options.manifests is not None
    (options.manifests / "bad.yaml").write_text("kind: Service\n")
    with switch() as server:
        assert run(dataclasses.replace(options, switch_address=server.address)) == 1
        assert server.table("service_frontend_table")
    assert "bad.yaml:1: " in capsys.readouterr().err


def test_once_fails_on_what_does_not_fit(options: ControllerOptions, capsys: pytest.CaptureFixture[str]) -> None:
    options.p4info.write_text(text_format.MessageToString(make_p4info({"destination_pod_table": 1})))
    assert options.manifests is not None
    (options.manifests / "more.yaml").write_text(yaml.safe_dump(pod_value("more", "10.1.0.2", port=2)))
    with switch() as server:
        assert run(dataclasses.replace(options, switch_address=server.address)) == 1
        assert len(server.table("destination_pod_table")) == 1
    assert "Pod/shop/more: destination_pod_table dst_addr=10.1.0.2: does not fit" in capsys.readouterr().err


def test_once_fails_without_a_switch(
    options: ControllerOptions, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "CONNECT_SECONDS", 0.2)
    assert run(dataclasses.replace(options, switch_address="127.0.0.1:1")) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "cannot reach the switch at 127.0.0.1:1: " in line and line.endswith("Connection refused")


def test_once_fails_without_an_api_server(
    options: ControllerOptions, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "_ONCE_PATIENCE", 0.5)
    path = kubeconfig(tmp_path, "http://127.0.0.1:1")
    assert run(dataclasses.replace(options, manifests=None, kubeconfig=path)) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert "ERROR" in last and "not all of Kubernetes' state has been read yet; " in last and "127.0.0.1:1" in last


def test_sigterm_ends_it_and_health_answers(options: ControllerOptions, tmp_path: Path) -> None:
    with switch() as server:
        fields = {
            field.name: getattr(options, field.name)
            for field in dataclasses.fields(options)
            if isinstance(getattr(options, field.name), Path)
        }
        script = (
            "import sys; from pathlib import Path; from controlplane.app import ControllerOptions, run\n"
            f"sys.exit(run(ControllerOptions({NODE_NAME!r}, switch_address={server.address!r}, "
            f"healthz_bind_address='127.0.0.1:0', metrics_bind_address='127.0.0.1:0', "
            + ", ".join(f"{name}=Path({str(path)!r})" for name, path in fields.items())
            + ")))"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", script], stderr=subprocess.PIPE, text=True, env={**os.environ}
        )
        assert process.stderr is not None
        lines: list[str] = []
        for line in process.stderr:
            lines.append(line)
            if "in step" in line:
                break
        port = next(line.rsplit(":", 1)[1] for line in lines if "health and metrics" in line).strip()
        import urllib.request

        assert urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=60).read() == b"ok\n"
        metrics = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60).read().decode()
        assert 'kulvert_entries{table="service_frontend_table"} 1.0' in metrics
        process.send_signal(signal.SIGTERM)
        rest = process.communicate(timeout=100)[1]
        assert process.returncode == 0
        assert "stopped" in rest and "Traceback" not in rest
        assert server.entities


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"manifests": None}, "exactly one of"),
        ({"in_cluster": True}, "exactly one of"),
        ({"manifests": Path("/nowhere")}, "/nowhere is not a directory"),
        ({"p4info": Path("/nowhere.txtpb")}, "the P4Info /nowhere.txtpb does not exist"),
        ({"switch_address": "host"}, "'host' is not host:port"),
        ({"election_id": 0}, "election id"),
        ({"service_cidrs": ("10.0.0.0",)}, "Service CIDR"),
        ({"node_name": ""}, "name is empty"),
        ({"batch_size": 0}, "batch size"),
    ],
)
def test_impossible_options_are_one_line(options: ControllerOptions, change: dict[str, object], words: str) -> None:
    with pytest.raises(OptionsError, match=words):
        run(dataclasses.replace(options, **change))  # type: ignore[arg-type]


def test_a_p4info_that_is_none_is_named(options: ControllerOptions) -> None:
    options.p4info.write_text("tables {")
    with pytest.raises(OptionsError, match=r"node\.p4info\.txtpb is not a P4Info"):
        run(options)


def test_an_attachments_file_that_cannot_be_used_is_named(options: ControllerOptions, tmp_path: Path) -> None:
    path = tmp_path / "ports.yaml"
    path.write_text("pods:\n  - {name: a, port: 1, mac: x}\n")
    with pytest.raises(OptionsError, match=r"ports\.yaml.*'x' is not a MAC"):
        Controller(dataclasses.replace(options, attachments=path))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("pods:\n  - name: a\n    port: 600\n    mac: 02:00:00:00:00:01\n", "f:3: .*<= 510"),
        ("uplinks:\n  - {port: 1, mac: '02:00:00:00:00:01', mtu: 1279}\n", "f:2: .*>= 1280"),
        ("pods:\n  - {name: a, port: 1, mak: x}\n", "f:2: .*"),
        ("ports: []\n", "unknown field `ports`"),
        (
            "pods:\n- {name: a, port: 1, mac: '02:00:00:00:00:01'}\n- {name: b, port: 1, mac: '02:00:00:00:00:02'}\n",
            "port 1 is given",
        ),
        ("routes: [{to: 0.0.0.0/0, via: 192.0.2.1}]\n", "no uplink's neighbour"),
        ("routes: [{to: 0.0.0.0/0, via: []}]\n", "goes through nobody"),
        ("a: [\n", "f:2: not YAML"),
        ("a: 1\n---\nb: 1\n", "f:3: .*one document"),
    ],
)
def test_attachments_errors_have_a_place(text: str, words: str) -> None:
    with pytest.raises(AttachmentsError, match=words):
        parse_attachments(text, "f")


def test_json_log_lines_are_json() -> None:
    stream = StringIO()
    set_up_logging(LogFormat.JSON, "info", stream)
    logging.getLogger("controlplane.x").info("two\nlines %d", 2)
    (line,) = stream.getvalue().splitlines()
    assert json.loads(line)["message"] == "two\nlines 2"


def test_long_work_shows_a_bar_on_a_terminal_and_nothing_elsewhere() -> None:
    from rich.console import Console

    shown = {}
    for terminal in (True, False):
        stream = StringIO()
        bar = ProgressBar()
        bar._console = Console(file=stream, force_terminal=terminal, width=80)
        for done in (0, 2500, 5000):
            bar("writing", done, 5000)
        bar("done", 0, 0)
        bar("writing", 1, 10)
        shown[terminal] = stream.getvalue()
    assert "writing" in shown[True] and "5000" in shown[True] and not shown[False]
