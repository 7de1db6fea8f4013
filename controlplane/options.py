"""Everything that can be said to the controller from outside; `controlplane.app.run` takes one of these."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from controlplane.addresses import AddressError, Prefix, parse_prefix
from controlplane.desired.inputs import DETECT_LOCAL_MODES, MAX_VNI, TUNNEL_MODES, Settings


class OptionsError(ValueError):
    """The options contradict each other or name something that does not exist. `str()` is one line for the user."""


class LogFormat(Enum):
    """How a log line is written to standard error."""

    TEXT = "text"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class ControllerOptions:
    """The controller's configuration.

    Exactly one source of Kubernetes state must be given: `manifests`, `kubeconfig` or `in_cluster`.

    Attributes:
        node_name: the name of the Node object that this switch serves; pods with this `spec.nodeName` are local.
        p4info: the P4Info of the pipeline, as protobuf text (`.txtpb`, `.txt`) or binary.
        device_config: the compiled pipeline, as the switch takes it (BMv2 JSON).
        manifests: a folder of YAML or JSON manifests, read recursively and watched.
        kubeconfig: a kubeconfig file of a live API server.
        kube_context: the context to use of that file; None for its current one.
        in_cluster: use the service account that Kubernetes mounts into a pod.
        attachments: a YAML file that says which pod is behind which switch port, and what the uplinks and the node's
            own port are (docs/controller.md); watched. None: only the Pods' annotations are used.
        switch_address: `host:port` of the P4Runtime server.
        device_id: P4Runtime's device id.
        election_id: P4Runtime's election id (the low 64 bits), at least 1. The highest one is primary.
        service_cidrs: Service address ranges, both families; an address in them that no Service holds is dropped. Those of the
            cluster's ServiceCIDR objects count as well.
        cluster_cidrs: the cluster's pod address ranges, both families.
        detect_local_mode: how the traffic of this cluster's pods is told from traffic that comes from outside:
            `Port` (by the switch port it comes in on, and elsewhere by `cluster_cidrs` and the Nodes' podCIDRs),
            `ClusterCIDR` (by its source in `cluster_cidrs` alone) or `NodeCIDR` (in this node's own podCIDRs alone).
        nodeport_addresses: ranges of the node's own addresses at which NodePorts are served; empty or `primary`: its InternalIPs.
        masquerade_all: masquerade everything sent to a Service.
        tunnel_mode: how pods of other nodes are reached: `routed`, `vxlan` or `geneve`, the same on all nodes.
        tunnel_vni: the network identifier of the tunnels, the same on all nodes.
        revalidate_connections: when policies change, judge live connections anew with their next packet.
        tls_ca: PEM file of the authority that signed the switch's certificate; None: no TLS.
        tls_cert: PEM file of the controller's own certificate, for mutual TLS; needs `tls_key`.
        tls_key: PEM file of its private key.
        tls_server_name: the name expected in the switch's certificate, if it is not the host of `switch_address`.
        healthz_bind_address: `host:port` that answers `/healthz`, `/livez` and `/readyz`; None: not served.
        metrics_bind_address: `host:port` that answers `/metrics`; may be the same; None: not served.
        control_socket: a Unix socket on which `kulvert status`, `trace` and others ask this controller; None: not served.
        post_events: post a Kubernetes Event about an object that is wrong; only with a live API server.
        can_modify: whether the switch takes MODIFY; if not, an entry is deleted and inserted.
        can_watch_ports: whether the switch itself passes over a next hop whose port is down.
        otlp_endpoint: where traces of each synchronization go (OpenTelemetry over HTTP, `http://host:4318`); None: nowhere.
        batch_size: the most updates in one P4Runtime Write.
        resync_seconds: how often the switch is read back and repaired although nothing changed; 0: only on connect.
        once: write what there is to write and stop, with a non-zero exit if something did not fit, was malformed or cannot be read.
        log_format: one line per event either way.
        log_level: `debug`, `info`, `warning` or `error`.
    """

    node_name: str
    p4info: Path
    device_config: Path
    manifests: Path | None = None
    kubeconfig: Path | None = None
    kube_context: str | None = None
    in_cluster: bool = False
    attachments: Path | None = None
    switch_address: str = "127.0.0.1:9559"
    device_id: int = 0
    election_id: int = 1
    service_cidrs: tuple[str, ...] = ()
    cluster_cidrs: tuple[str, ...] = ()
    detect_local_mode: str = "Port"
    nodeport_addresses: tuple[str, ...] = ()
    masquerade_all: bool = False
    tunnel_mode: str = "routed"
    tunnel_vni: int = 1
    revalidate_connections: bool = False
    tls_ca: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_server_name: str | None = None
    healthz_bind_address: str | None = None
    metrics_bind_address: str | None = None
    control_socket: Path | None = None
    post_events: bool = True
    can_modify: bool = True
    can_watch_ports: bool = True
    otlp_endpoint: str | None = None
    batch_size: int = 1000
    resync_seconds: float = 300.0
    once: bool = False
    log_format: LogFormat = LogFormat.TEXT
    log_level: str = "info"

    def check(self) -> None:
        """Raise OptionsError for the first thing that cannot work; files are checked to exist, not read."""
        sources = (self.manifests is not None) + (self.kubeconfig is not None) + self.in_cluster
        if sources != 1:
            raise OptionsError("give exactly one of: a manifest folder, a kubeconfig, in-cluster")
        if self.manifests is not None and not self.manifests.is_dir():
            raise OptionsError(f"the manifest folder {self.manifests} is not a directory")
        named = {
            "kubeconfig": self.kubeconfig,
            "P4Info": self.p4info,
            "device config": self.device_config,
            "attachments file": self.attachments,
            "TLS authority": self.tls_ca,
            "TLS certificate": self.tls_cert,
            "TLS key": self.tls_key,
        }
        for what, path in named.items():
            if path is not None and not path.is_file():
                raise OptionsError(f"the {what} {path} does not exist")
        if not self.node_name:
            raise OptionsError("the node's name is empty")
        if not 1 <= self.election_id < 1 << 64:
            raise OptionsError(f"the election id must be between 1 and 2^64 - 1, not {self.election_id}")
        if (self.tls_cert is None) != (self.tls_key is None):
            raise OptionsError("a TLS certificate and its key are given together or not at all")
        if self.tls_cert is not None and self.tls_ca is None:
            raise OptionsError("mutual TLS needs the switch's authority as well")
        if self.batch_size < 1:
            raise OptionsError("the batch size must be at least 1")
        host_port(self.switch_address)
        for address in (self.healthz_bind_address, self.metrics_bind_address):
            if address is not None:
                host_port(address)
        if self.resync_seconds < 0:
            raise OptionsError("the seconds between resyncs cannot be negative")
        if self.log_level not in LOG_LEVELS:
            raise OptionsError(f"the log level must be one of {', '.join(LOG_LEVELS)}, not {self.log_level!r}")
        if self.detect_local_mode not in DETECT_LOCAL_MODES:
            raise OptionsError(
                f"detect-local-mode must be one of {', '.join(DETECT_LOCAL_MODES)}, not {self.detect_local_mode!r}: "
                "a switch sees ports, not the host's interfaces"
            )
        if self.detect_local_mode == "ClusterCIDR" and not self.cluster_cidrs:
            raise OptionsError("detect-local-mode ClusterCIDR needs the cluster CIDR")
        if self.tunnel_mode not in TUNNEL_MODES:
            raise OptionsError(f"the tunnel mode must be one of {', '.join(TUNNEL_MODES)}, not {self.tunnel_mode!r}")
        if not 0 <= self.tunnel_vni <= MAX_VNI:
            raise OptionsError(f"the tunnel VNI must be between 0 and {MAX_VNI}, not {self.tunnel_vni}")
        self.settings()

    def settings(self) -> Settings:
        """What of this the derivation goes by. Raises OptionsError for what is not a range of addresses."""
        ports = self.nodeport_addresses
        return Settings(
            self.node_name,
            _prefixes(self.service_cidrs, "Service CIDR"),
            _prefixes(self.cluster_cidrs, "cluster CIDR"),
            self.detect_local_mode,
            None if not ports or "primary" in ports else _prefixes(ports, "node-port addresses"),
            self.masquerade_all,
            self.tunnel_mode,
            self.tunnel_vni,
            self.can_watch_ports,
        )


LOG_LEVELS = ("debug", "info", "warning", "error")


def _prefixes(texts: tuple[str, ...], what: str) -> tuple[Prefix, ...]:
    try:
        return tuple(parse_prefix(text) for text in texts)
    except AddressError as error:
        raise OptionsError(f"{what}: {error}") from None


def host_port(text: str) -> tuple[str, int]:
    """Split `host:port`; an IPv6 host is in brackets. Raises OptionsError."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or not 0 <= int(port) < 65536 or not host:
        raise OptionsError(f"{text!r} is not host:port")
    return host.removeprefix("[").removesuffix("]"), int(port)
