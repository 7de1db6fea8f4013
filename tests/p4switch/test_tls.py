"""TLS and mutual TLS, with certificates made for the occasion."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

from p4base.messages import p4r
from p4base.rpc import p4r_grpc
from p4switch.main import serve
from p4switch.options import SwitchOptions, parse_args
from p4switch.service.memory import MemoryDataplane
from p4switch.tools import StartError

OPENSSL = shutil.which("openssl")

pytestmark = pytest.mark.skipif(OPENSSL is None, reason="openssl, which makes the certificates, is not installed")


@dataclass(frozen=True)
class Identity:
    """A certificate with its key; `authority` signs it (itself, if that is None)."""

    certificate: Path
    key: Path


def make_identity(folder: Path, name: str, authority: Identity | None = None) -> Identity:
    identity = Identity(folder / f"{name}.crt", folder / f"{name}.key")
    command = [str(OPENSSL), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", f"/CN={name}", "-keyout", str(identity.key), "-out", str(identity.certificate)]
    if authority is None:
        command += ["-addext", "basicConstraints=critical,CA:TRUE"]
    else:
        command += ["-CA", str(authority.certificate), "-CAkey", str(authority.key)]
        command += ["-addext", "basicConstraints=CA:FALSE", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(command, check=True, capture_output=True)
    return identity


@pytest.fixture(scope="module")
def identities(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Identity]:
    folder = tmp_path_factory.mktemp("tls")
    authority = make_identity(folder, "authority")
    return {
        "authority": authority,
        "server": make_identity(folder, "server", authority),
        "client": make_identity(folder, "client", authority),
        "stranger": make_identity(folder, "stranger"),
    }


class TlsSwitch:
    """`serve` with the options of a command line, on a free port."""

    def __init__(self, arguments: list[str], ready: Path) -> None:
        self._stop = threading.Event()
        argv = ["--no-p4", "--ready-file", str(ready), "--", "--grpc-server-addr", "127.0.0.1:0", *arguments]
        self._thread = threading.Thread(
            target=serve, args=(parse_args(argv), self._stop, lambda _: MemoryDataplane()), daemon=True
        )
        self._thread.start()
        while not ready.exists() or not ready.read_text().endswith("\n"):
            self._thread.join(0.01)
            assert self._thread.is_alive()
        self.address = ready.read_text().split(" on ")[1].split(",")[0]

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(20)


@pytest.fixture
def switches(identities: dict[str, Identity], tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[TlsSwitch]:
    server = identities["server"]
    arguments = [
        "--grpc-server-ssl",
        "--grpc-server-cert",
        str(server.certificate),
        "--grpc-server-key",
        str(server.key),
    ]
    if request.param == "mutual":
        arguments += [
            "--grpc-server-cacert",
            str(identities["authority"].certificate),
            "--grpc-server-with-client-auth",
        ]
    switch = TlsSwitch(arguments, tmp_path / "ready")
    yield switch
    switch.stop()


def api_version(address: str, authority: Identity, client: Identity | None = None) -> str:
    credentials = grpc.ssl_channel_credentials(
        authority.certificate.read_bytes(),
        client.key.read_bytes() if client else None,
        client.certificate.read_bytes() if client else None,
    )
    with grpc.secure_channel(address, credentials) as channel:
        answer = p4r_grpc.P4RuntimeStub(channel).Capabilities(p4r.CapabilitiesRequest(), timeout=100)
    return answer.p4runtime_api_version


@pytest.mark.parametrize("switches", ["server"], indirect=True)
def test_clients_know_the_server(switches: TlsSwitch, identities: dict[str, Identity]) -> None:
    assert api_version(switches.address, identities["authority"])
    with pytest.raises(grpc.RpcError):
        api_version(switches.address, identities["stranger"])
    with grpc.insecure_channel(switches.address) as channel, pytest.raises(grpc.RpcError):
        p4r_grpc.P4RuntimeStub(channel).Capabilities(p4r.CapabilitiesRequest(), timeout=100)


@pytest.mark.parametrize("switches", ["mutual"], indirect=True)
def test_the_server_knows_its_clients(switches: TlsSwitch, identities: dict[str, Identity]) -> None:
    assert api_version(switches.address, identities["authority"], identities["client"])
    for client in (None, identities["stranger"]):
        with pytest.raises(grpc.RpcError):
            api_version(switches.address, identities["authority"], client)


def test_unreadable_certificates_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "bad.pem").write_text("not a certificate")
    for name, words in (("bad.pem", "certificate"), ("none.pem", "No such file")):
        path = str(tmp_path / name)
        argv = ["--no-p4", "--", "--grpc-server-addr", "127.0.0.1:0", "--grpc-server-ssl"]
        options: SwitchOptions = parse_args([*argv, "--grpc-server-cert", path, "--grpc-server-key", path])
        with pytest.raises(StartError) as caught:
            serve(options, threading.Event(), lambda _: MemoryDataplane())
        assert words in str(caught.value)
        assert "\n" not in str(caught.value)
