"""A cluster of real servers on loopback: etcd, kube-apiserver and kube-controller-manager, taken from the PATH.

No kubelet and no scheduler: Nodes and Pods are what a test writes, their status too. Every program is a process of this one,
on a port that was free, with certificates and keys of its own; all of them end with `RealCluster.stop`.
"""

from __future__ import annotations

import base64
import http.client
import json
import secrets
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.p4switch.test_tls import OPENSSL, Identity, make_identity

PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager")
START_SECONDS = 180.0
SERVICE_CIDRS = "10.96.0.0/16,fd00:10:96::/112"

CONTROLLERS = ("endpointslice-controller", "namespace-controller", "service-cidr-controller")
"""Those alone: the node controllers would take Nodes without a kubelet for dead and their Pods for not ready."""

AUDIT_POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: Metadata
    userGroups: [system:serviceaccounts]
  - level: None
"""


def missing_programs() -> list[str]:
    """What has to be on the PATH for a real cluster and is not."""
    return [name for name in PROGRAMS if shutil.which(name) is None] + (["openssl"] if OPENSSL is None else [])


class RequestFailedError(AssertionError):
    """The API server refused what a test asked for."""

    def __init__(self, method: str, path: str, status: int, body: Any) -> None:
        super().__init__(f"{method} {path}: {status} {body.get('message', body) if isinstance(body, dict) else body}")
        self.status = status


class RealCluster:
    """The servers, and requests to them as an administrator. `folder` takes keys, data and logs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.audit_log = folder / "audit.log"
        self._token = secrets.token_hex(16)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._tie = _tie()
        self._connection: http.client.HTTPSConnection | None = None
        self._plurals: dict[str, dict[str, tuple[str, bool]]] = {}
        self._etcd, self._etcd_peer, self._port, manager = _free_ports(4)
        self._manager_port = manager
        self._authority = make_identity(folder, "authority")
        self._server = make_identity(folder, "apiserver", self._authority)
        self._make_account_key()
        (folder / "tokens.csv").write_text(f"{self._token},admin,admin,system:masters\n")
        (folder / "audit.yaml").write_text(AUDIT_POLICY)
        self.admin = self.kubeconfig("admin")

    def _make_account_key(self) -> None:
        command = [str(OPENSSL), "genrsa", "-out", str(self.folder / "accounts.key"), "2048"]
        subprocess.run(command, check=True, capture_output=True)

    # -- life

    def start(self) -> None:
        """Start everything and wait until it answers. Raises AssertionError with the end of a log if it does not."""
        self._run(
            "etcd",
            f"--data-dir={self.folder / 'etcd'}",
            f"--listen-client-urls=http://127.0.0.1:{self._etcd}",
            f"--advertise-client-urls=http://127.0.0.1:{self._etcd}",
            f"--listen-peer-urls=http://127.0.0.1:{self._etcd_peer}",
            f"--initial-advertise-peer-urls=http://127.0.0.1:{self._etcd_peer}",
            f"--initial-cluster=default=http://127.0.0.1:{self._etcd_peer}",
            "--unsafe-no-fsync",
        )
        self.start_api_server()
        self._run(
            "kube-controller-manager",
            f"--kubeconfig={self.admin}",
            "--bind-address=127.0.0.1",
            f"--secure-port={self._manager_port}",
            f"--cert-dir={self.folder / 'manager'}",
            "--leader-elect=false",
            f"--controllers={','.join(CONTROLLERS)}",
        )

    def launch_api_server(self) -> None:
        """Start it, and let it come up by itself. From the main thread: it ends with the thread that starts it."""
        key = self.folder / "accounts.key"
        self._run(
            "kube-apiserver",
            f"--etcd-servers=http://127.0.0.1:{self._etcd}",
            "--etcd-compaction-interval=0",
            "--bind-address=127.0.0.1",
            "--advertise-address=192.0.2.250",  # what the Service `kubernetes` leads to, which may be no loopback address
            f"--secure-port={self._port}",
            f"--tls-cert-file={self._server.certificate}",
            f"--tls-private-key-file={self._server.key}",
            f"--client-ca-file={self._authority.certificate}",
            f"--token-auth-file={self.folder / 'tokens.csv'}",
            f"--service-cluster-ip-range={SERVICE_CIDRS}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}",
            "--authorization-mode=Node,RBAC",
            "--disable-admission-plugins=ServiceAccount",  # nobody makes the namespaces' default accounts here
            f"--audit-policy-file={self.folder / 'audit.yaml'}",
            f"--audit-log-path={self.audit_log}",
        )

    def is_ready(self) -> bool:
        """Whether the API server says so. Raises AssertionError, with the end of its log, if it has ended."""
        process = self._processes["kube-apiserver"]
        if process.poll() is not None:
            log = (self.folder / "kube-apiserver.log").read_text(errors="replace")[-3000:]
            raise AssertionError(f"kube-apiserver ended with {process.returncode}:\n{log}")
        try:
            return self.request("GET", "/readyz")[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def start_api_server(self) -> None:
        """Start it and wait until it is ready."""
        self.launch_api_server()
        deadline = time.monotonic() + START_SECONDS
        while not self.is_ready():
            assert time.monotonic() < deadline, f"kube-apiserver is not ready in {START_SECONDS:.0f} s"
            time.sleep(0.05)

    def kill_api_server(self) -> None:
        """As a machine that fails. A server that is asked to end waits a minute for those who watch over HTTP/1.1."""
        process = self._processes.pop("kube-apiserver")
        process.kill()
        process.wait()
        self._disconnect()

    def stop(self) -> None:
        """End every process that was started here; nobody's data matters any more."""
        self._disconnect()
        for process in self._processes.values():
            process.kill()
        for process in self._processes.values():
            process.wait()
        self._processes.clear()

    def _run(self, program: str, *arguments: str) -> None:
        command = [shutil.which(program) or program, *arguments]
        if self._tie:
            command = [*self._tie, *command]
        with (self.folder / f"{program}.log").open("ab") as log:
            self._processes[program] = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    # -- requests

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        content_type: str = "application/json",
        token: str | None = None,
    ) -> tuple[int, Any]:
        """Status and decoded body of an answer; as an administrator unless another's token is given."""
        headers = {"Authorization": f"Bearer {token or self._token}", "Content-Type": content_type}
        payload = None if body is None else json.dumps(body)
        for attempt in (0, 1):
            if self._connection is None:
                context = ssl.create_default_context(cafile=str(self._authority.certificate))
                self._connection = http.client.HTTPSConnection("127.0.0.1", self._port, timeout=60, context=context)
            try:
                self._connection.request(method, path, payload, headers)
                response = self._connection.getresponse()
                data = response.read()
                break
            except (OSError, http.client.HTTPException):
                self._disconnect()  # the server may have ended a connection that was idle
                if attempt:
                    raise
        try:
            return response.status, json.loads(data)
        except ValueError:
            return response.status, data.decode("utf-8", "replace")

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def ask(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> Any:
        """The body of an answer that must be a success. Raises RequestFailedError."""
        status, value = self.request(method, path, body, content_type)
        if status >= 300:
            raise RequestFailedError(method, path, status, value)
        return value

    def path(self, value: dict[str, Any]) -> str:
        """Where the API server has this object."""
        version = value["apiVersion"]
        root = f"/{'apis' if '/' in version else 'api'}/{version}"
        if value["kind"] not in self._plurals.get(version, {}):
            found = self.ask("GET", root)["resources"]
            self._plurals[version] = {
                item["kind"]: (item["name"], item["namespaced"]) for item in found if "/" not in item["name"]
            }
        plural, namespaced = self._plurals[version][value["kind"]]
        metadata = value["metadata"]
        place = f"/namespaces/{metadata['namespace']}" if namespaced else ""
        return f"{root}{place}/{plural}/{metadata['name']}"

    def apply(self, *values: dict[str, Any], dry_run: bool = False) -> None:
        """Server-side apply, fields that the API does not have refused; a status goes to the status subresource."""
        query = "fieldManager=test&force=true&fieldValidation=Strict" + ("&dryRun=All" if dry_run else "")
        for value in values:
            path, rest = self.path(value), {key: part for key, part in value.items() if key != "status"}
            self.ask("PATCH", f"{path}?{query}", rest, "application/apply-patch+yaml")
            if "status" in value and not dry_run:
                # not by apply: its schema knows a Node's addresses by their type alone, and a node of two families has two of one
                body = {"status": value["status"]}
                self.ask("PATCH", f"{path}/status?fieldValidation=Strict", body, "application/merge-patch+json")

    def delete(self, value: dict[str, Any]) -> None:
        """Delete an object at once, if it is there."""
        options = {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0}
        path = self.path(value)
        status, answer = self.request("DELETE", path, options)
        if status >= 300 and status != 404:
            raise RequestFailedError("DELETE", path, status, answer)

    def end(self, pod: dict[str, Any]) -> None:
        """Have a Pod end in its own time: without a kubelet it stays, terminating."""
        self.ask("DELETE", self.path(pod))

    def list(self, path: str) -> list[dict[str, Any]]:
        """The items of a collection, each with its kind as a manifest has it."""
        found = self.ask("GET", path)
        kind = found["kind"].removesuffix("List")
        return [{"apiVersion": found["apiVersion"], "kind": kind, **item} for item in found["items"] or ()]

    def account_token(self, namespace: str, name: str) -> str:
        """A token of a service account, as the kubelet asks for one for a Pod."""
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}}
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
        return str(self.ask("POST", path, body)["status"]["token"])

    def kubeconfig(self, name: str, token: str | None = None, port: int | None = None) -> Path:
        """A kubeconfig file for whoever has this token, else the administrator; written anew if it is there.

        `port`: of a way to the API server that is not its own.
        """
        authority = base64.b64encode(self._authority.certificate.read_bytes()).decode()
        cluster = {"server": f"https://127.0.0.1:{port or self._port}", "certificate-authority-data": authority}
        value = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
            "clusters": [{"name": "k", "cluster": cluster}],
            "users": [{"name": "u", "user": {"token": token or self._token}}],
        }
        path = self.folder / f"{name}.kubeconfig"
        path.write_text(yaml.safe_dump(value))
        return path

    @property
    def authority(self) -> Identity:
        """Who signed the API server's certificate."""
        return self._authority

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of the API server."""
        return "127.0.0.1", self._port

    # -- etcd, through its JSON gateway

    def revision(self) -> int:
        """How many changes there have been, of any object."""
        answer = self._etcd_call("/v3/kv/range", {"key": base64.b64encode(b"\0").decode()})
        return int(answer["header"]["revision"])

    def compact(self) -> None:
        """Have etcd forget every version but the present ones."""
        self._etcd_call("/v3/kv/compaction", {"revision": self.revision(), "physical": True})

    def _etcd_call(self, path: str, body: dict[str, Any]) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self._etcd, timeout=60)
        try:
            connection.request("POST", path, json.dumps(body))
            response = connection.getresponse()
            value = json.loads(response.read())
        finally:
            connection.close()
        if response.status != 200:
            raise RequestFailedError("POST", path, response.status, value)
        return value


@contextmanager
def real_cluster(folder: Path) -> Iterator[RealCluster]:
    """A cluster that runs, with nothing in it but what Kubernetes itself makes."""
    cluster = RealCluster(folder)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


def _tie() -> list[str]:
    """What a command begins with that is to end with the thread that starts it: tests that are killed leave no server behind."""
    tie = ["setpriv", "--pdeathsig", "KILL", "--"]
    works = shutil.which("setpriv") is not None and subprocess.run([*tie, "true"], capture_output=True, check=False)
    return tie if works and works.returncode == 0 else []


def _free_ports(count: int) -> Sequence[int]:
    """Ports that were free a moment ago, all different."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for item in sockets:
            item.bind(("127.0.0.1", 0))
        return [item.getsockname()[1] for item in sockets]
    finally:
        for item in sockets:
            item.close()
