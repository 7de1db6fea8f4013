"""Asking a running controller, over its control socket. Without one the commands still work, but know no object's name."""

from __future__ import annotations

import base64
import http.client
import os
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlencode

import msgspec

from controlplane.introspection import Explained, Resolved, Status, Wanted
from controlplane.kube.objects import ObjectRef
from kulvert.failures import UserError

DEFAULT_SOCKET = Path("/run/kulvert/controller.sock")
SOCKET_VARIABLE = "KULVERT_CONTROL_SOCKET"
_SECONDS = 30.0

T = TypeVar("T")


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_SECONDS)
        self.sock.connect(str(self._path))


class Controller:
    """A running controller. Every method raises UserError if it does not answer."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def status(self) -> Status:
        return self._get("/v1/status", Status)

    def resolve(self, ref: ObjectRef) -> Resolved:
        query = urlencode({"kind": ref.kind, "namespace": ref.namespace, "name": ref.name})
        return self._get(f"/v1/resolve?{query}", Resolved)

    def explain(self, bodies: Sequence[bytes]) -> list[Explained]:
        """Whose each entity (a serialized p4.v1.Entity) is, in the same order."""
        request = msgspec.json.encode([base64.b64encode(body).decode() for body in bodies])
        return self._decode(self._request("POST", "/v1/explain", request), list[Explained])

    def wanted(self) -> Iterator[Wanted]:
        """Everything that should be in the switch."""
        for line in self._request("GET", "/v1/entities").splitlines():
            yield self._decode(line, Wanted)

    def _get(self, path: str, kind: type[T]) -> T:
        return self._decode(self._request("GET", path), kind)

    def _decode(self, data: bytes, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(data, type=kind)
        except msgspec.DecodeError as error:
            raise UserError(f"the controller at {self._path} answers in another version's words: {error}") from None

    def _request(self, method: str, path: str, body: bytes | None = None) -> bytes:
        connection = _UnixConnection(self._path)
        try:
            connection.request(method, path, body)
            response = connection.getresponse()
            data = response.read()
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "strerror", None) or error
            raise UserError(f"no controller answers on {self._path}: {reason}") from None
        finally:
            connection.close()
        if response.status == 404:
            raise UserError(data.decode(errors="replace").strip())
        if response.status != 200:
            raise UserError(f"the controller at {self._path} answers {response.status}: {data[:200]!r}")
        return data


def find_controller(given: Path | None) -> Controller | None:
    """The controller at the socket that was given or that the environment names; without either, the usual one if it is there.

    Raises:
        UserError: the socket that was named does not exist.
    """
    named = os.environ.get(SOCKET_VARIABLE)
    path = given or (Path(named) if named else None)
    if path is not None:
        if not path.exists():
            raise UserError(f"no controller answers on {path}: there is no such socket")
        return Controller(path)
    return Controller(DEFAULT_SOCKET) if DEFAULT_SOCKET.is_socket() else None
