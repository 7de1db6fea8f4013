"""The session with the switch under mutual TLS: who may, who may not, and what is said."""

from __future__ import annotations

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
                with pytest.raises(SessionError, match="cannot reach the switch"):
                    async with Session(Target(switch.address, 0, 1, tls)):
                        pytest.fail(f"{what} is let in")
            with pytest.raises(SessionError, match="cannot read a TLS file"):
                async with Session(Target(switch.address, 0, 1, Tls(folder / "nowhere"))):
                    pass
        finally:
            await switch.stop()

    run(test())
