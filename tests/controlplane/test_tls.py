"""The session with the switch under mutual TLS: who may, who may not, and what is said."""

from __future__ import annotations

import re
from pathlib import Path

import grpc
import pytest

import controlplane.p4rt.connection as connection_module
from controlplane.p4rt.session import Session, SessionError, Target, Tls
from tests.controlplane.fake_switch import FakeSwitch
from tests.controlplane.test_reconcile import run
from tests.p4switch.test_tls import OPENSSL, Identity, make_identity

pytestmark = pytest.mark.skipif(OPENSSL is None, reason="openssl, which makes the certificates, is not installed")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tls")


@pytest.fixture(scope="module")
def authority(folder: Path) -> Identity:
    return make_identity(folder, "authority")


def _credentials(server: Identity, authority: Identity) -> grpc.ServerCredentials:
    pair = (server.key.read_bytes(), server.certificate.read_bytes())
    return grpc.ssl_server_credentials([pair], authority.certificate.read_bytes(), require_client_auth=True)


def test_the_certificates_decide(folder: Path, authority: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "CONNECT_SECONDS", 1.0)
    server, client = make_identity(folder, "server", authority), make_identity(folder, "client", authority)
    stranger = make_identity(folder, "stranger")

    async def test() -> None:
        switch = FakeSwitch()
        await switch.start(credentials=_credentials(server, authority))
        try:
            good = Tls(authority.certificate, client.certificate, client.key)
            async with Session(Target(switch.address, 0, 1, good)) as session:
                assert session.is_primary
            bad = {
                "no certificate": Tls(authority.certificate),
                "a stranger's": Tls(authority.certificate, stranger.certificate, stranger.key),
                "another authority": Tls(stranger.certificate, client.certificate, client.key),
                "another name": Tls(authority.certificate, client.certificate, client.key, "elsewhere"),
                "no TLS at all": None,
            }
            for what, tls in bad.items():
                with pytest.raises(SessionError, match=f"cannot reach the switch at {switch.address}: ."):
                    async with Session(Target(switch.address, 0, 1, tls)):
                        pytest.fail(f"{what} is let in")
        finally:
            await switch.stop()

    run(test())


def test_files_that_cannot_serve_are_named(folder: Path, authority: Identity) -> None:
    client, stranger = make_identity(folder, "client", authority), make_identity(folder, "stranger")
    ca, noise = authority.certificate, folder / "noise.pem"
    noise.write_bytes(b"\xff no certificate")
    wrong = {
        f"cannot read the TLS file {folder / 'nowhere'}: No such file": Tls(folder / "nowhere"),
        f"{noise} has no certificate": Tls(noise),
        f"{client.certificate} and {stranger.key} are not a certificate and its key": Tls(
            ca, client.certificate, stranger.key
        ),
        f"{client.certificate} and {noise} are not": Tls(ca, client.certificate, noise),
        "given together": Tls(ca, client.certificate),
    }

    async def connect(tls: Tls) -> None:
        async with Session(Target("127.0.0.1:1", 0, 1, tls)):
            pass

    for message, tls in wrong.items():
        with pytest.raises(SessionError, match=re.escape(message)):
            run(connect(tls))
