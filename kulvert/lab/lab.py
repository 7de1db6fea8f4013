"""One node in a sandbox: its pods as network namespaces, its switch and its controller.

    with Lab(options, progress) as lab:
        lab.start()
        lab.agent(pod).call(HttpGet(...), HttpReply)

Runs inside `sandbox.run_in_sandbox`. `start` makes the namespaces and wires, starts the switch and the controller, and
returns when the controller says that everything is programmed.
"""

from __future__ import annotations

import http.client
import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from types import TracebackType

from kulvert.lab.attachments import write_attachments
from kulvert.lab.inventory import Inventory, LabPod, read_inventory
from kulvert.lab.messages import Done, ServeHttp, ServeUdp
from kulvert.lab.network import LabNetwork
from kulvert.lab.pods import PodAgent
from kulvert.lab.processes import LabProcess, accepts_connections, kulvert_command
from kulvert.lab.sandbox import RUN_DIR
from kulvert.lab.syscalls import MountFlag, mount

LAB_DIR = RUN_DIR / "kulvert"
"""The lab's files, on the sandbox's own tmpfs."""

NODE_NAMESPACE = "node"

P4RUNTIME_PORT = 9559
HEALTH_PORT = 9560

_SWITCH_SECONDS = 240
"""Generous: the first start compiles the pipeline's C, which a small machine does in ten seconds or so."""
_CONTROLLER_SECONDS = 240


@dataclass(frozen=True, slots=True)
class LabOptions:
    """What lab to make.

    Attributes:
        manifests: the folder of Kubernetes manifests. The lab works on a copy.
        bmv2_json: the compiled pipeline.
        p4info: its P4Info.
        cpu_port: the pipeline's CPU port.
        switch: `native`, or the path of a simple_switch_grpc.
        service_cidrs: as the controller takes them.
        cluster_cidrs: as the controller takes them.
        log_dir: where the logs are copied at the end; None: nowhere.
    """

    manifests: Path
    bmv2_json: Path
    p4info: Path
    cpu_port: int
    switch: str = "native"
    service_cidrs: tuple[str, ...] = ("10.96.0.0/16", "fd00:10:96::/112")
    cluster_cidrs: tuple[str, ...] = ("10.244.0.0/16", "fd00:10:244::/56")
    log_dir: Path | None = None


Progress = Callable[[str], None]
"""Told what the lab is doing, a few words at a time."""


@dataclass
class Lab:
    """A lab. Use as a context manager."""

    options: LabOptions
    progress: Progress
    inventory: Inventory = field(init=False)
    network: LabNetwork = field(init=False)
    switch: LabProcess = field(init=False)
    controller: LabProcess = field(init=False)
    _agents: dict[str, PodAgent] = field(init=False, default_factory=dict)
    _stack: ExitStack = field(init=False, default_factory=ExitStack)

    def __enter__(self) -> Lab:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def manifests(self) -> Path:
        """The lab's own copy of the manifests, which the controller watches."""
        return LAB_DIR / "manifests"

    def agent(self, pod: LabPod) -> PodAgent:
        """The agent in a pod."""
        return self._agents[pod.key]

    @property
    def node_agent(self) -> PodAgent:
        """The agent in the node's own network stack."""
        return self._agents[NODE_NAMESPACE]

    def start(self) -> None:
        """Bring everything up.

        Raises:
            UserError: something is missing or did not come up; the message has the end of the log concerned.
        """
        LAB_DIR.mkdir(exist_ok=True)
        self._stack.callback(self._keep_logs)
        self.inventory = read_inventory(self.options.manifests)
        shutil.copytree(self.options.manifests, self.manifests)
        self.progress(f"wiring {len(self.inventory.pods)} pods and the node")
        self._wire()
        self._name_services()
        self.progress("starting the switch")
        self._start_switch()
        self.progress("starting the controller")
        self._start_controller()
        self.progress("starting the pods' servers")
        self._serve()
        self.progress("waiting until the switch is programmed")
        self.wait_programmed()

    # -- wires

    def _wire(self) -> None:
        self.network = LabNetwork()
        self._stack.callback(self.network.close)
        places: list[tuple[str, str, str, str, tuple[IPv4Address | IPv6Address, ...]]] = []
        node = self.inventory.node
        places.append((NODE_NAMESPACE, NODE_NAMESPACE, node.interface, node.mac, node.addresses))
        places += [(pod.key, pod.name, pod.interface, pod.mac, pod.addresses) for pod in self.inventory.pods]
        for key, name, interface, mac, addresses in places:
            namespace = self.network.add_namespace(name)
            self.network.add_wire(namespace, switch_interface=interface, mac=mac, offloads=False)
            self.network.configure_pod(namespace, addresses)
            agent = PodAgent(name, namespace)
            self._stack.callback(agent.stop)
            self._agents[key] = agent

    def _name_services(self) -> None:
        """Let every program in the lab find the Services by name: the sandbox has an /etc/hosts of its own."""
        lines = ["127.0.0.1 localhost", "::1 localhost"]
        for service in self.inventory.services:
            name = f"{service.name}.{service.namespace}"
            lines += [f"{address} {name} {name}.svc {name}.svc.cluster.local" for address in service.addresses]
        for pod in self.inventory.pods:
            lines += [f"{address} {pod.name}" for address in pod.addresses]
        hosts = LAB_DIR / "hosts"
        hosts.write_text("\n".join(lines) + "\n", encoding="ascii")
        if Path("/etc/hosts").exists():
            mount(str(hosts), "/etc/hosts", None, MountFlag.BIND)

    # -- processes

    def _start_switch(self) -> None:
        options = self.options
        wires = [(pod.port, pod.interface) for pod in self.inventory.pods]
        wires.append((self.inventory.node.port, self.inventory.node.interface))
        interfaces = [argument for port, name in wires for argument in ("-i", f"{port}@{name}")]
        target_options = ["--grpc-server-addr", f"127.0.0.1:{P4RUNTIME_PORT}", "--cpu-port", str(options.cpu_port)]
        arguments = [*interfaces, "--no-p4", "--", *target_options]
        native = options.switch == "native"
        command = kulvert_command("switch") if native else [options.switch, "--log-level", "off"]
        command += arguments
        self.switch = LabProcess("the switch", command, LAB_DIR / "switch.log")
        self.switch.start()
        self._stack.callback(self.switch.stop)
        self.switch.wait_until(
            lambda: accepts_connections(P4RUNTIME_PORT), timeout=_SWITCH_SECONDS, goal="listening for P4Runtime"
        )

    def _start_controller(self) -> None:
        attachments = LAB_DIR / "attachments.yaml"
        write_attachments(self.inventory, attachments)
        options = self.options
        arguments = ["--node", self.inventory.node.name, "--manifests", str(self.manifests)]
        arguments += ["--attachments", str(attachments)]
        arguments += ["--p4info", str(options.p4info), "--device-config", str(options.bmv2_json)]
        arguments += ["--switch", f"127.0.0.1:{P4RUNTIME_PORT}", "--healthz-bind-address", f"127.0.0.1:{HEALTH_PORT}"]
        arguments += ["--control-socket", str(LAB_DIR / "controller.sock")]
        arguments += [argument for cidr in options.service_cidrs for argument in ("--service-cidr", cidr)]
        arguments += [argument for cidr in options.cluster_cidrs for argument in ("--cluster-cidr", cidr)]
        self.controller = LabProcess(
            "the controller", kulvert_command("controller", *arguments), LAB_DIR / "controller.log"
        )
        self.controller.start()
        self._stack.callback(self.controller.stop)

    def wait_programmed(self, timeout: float = _CONTROLLER_SECONDS) -> float:
        """Wait until the controller reports that the switch has everything; the seconds it took. Raises UserError."""
        started = time.monotonic()
        self.controller.wait_until(self.is_programmed, timeout=timeout, goal="in step with the switch")
        return time.monotonic() - started

    def is_programmed(self) -> bool:
        """Whether the controller's readiness says that the switch has everything the manifests ask for."""
        self.switch.check_alive()
        connection = http.client.HTTPConnection("127.0.0.1", HEALTH_PORT, timeout=2)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _serve(self) -> None:
        """Start what the pods' manifests say they serve: HTTP on TCP ports, an echo on UDP ports."""
        started = []
        for pod in self.inventory.pods:
            for port in pod.ports:
                request: ServeHttp | ServeUdp
                request = ServeUdp(port.number) if port.protocol == "UDP" else ServeHttp(port.number, pod.upstream)
                started.append((self.agent(pod), self.agent(pod).submit(request)))
        for agent, future in started:
            agent.wait(future, Done)

    def _keep_logs(self) -> None:
        if self.options.log_dir is None:
            return
        self.options.log_dir.mkdir(parents=True, exist_ok=True)
        for log in LAB_DIR.glob("*.log"):
            shutil.copy(log, self.options.log_dir)
