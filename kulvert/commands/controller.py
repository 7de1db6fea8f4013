"""`kulvert controller`: Kubernetes' state, kept on a P4Runtime switch."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from kulvert.failures import UserError

_FILE = click.Path(dir_okay=False, path_type=Path)
_DIRECTORY = click.Path(file_okay=False, path_type=Path)
_LISTS = ("service_cidrs", "cluster_cidrs", "nodeport_addresses")


@click.command(
    "controller",
    short_help="Keep a switch in step with Kubernetes.",
    epilog="""\b
Examples:
  a folder of manifests and a switch on this machine:
    kulvert controller --node worker-1 --manifests ./manifests --attachments ports.yaml \\
        --p4info build/native/node_v1model.p4info.txtpb --device-config build/native/node_v1model.json
  \b
  a live cluster, and a switch or DPU elsewhere behind mutual TLS:
    kulvert controller --node worker-1 --kubeconfig ~/.kube/config --switch 10.0.0.7:9559 \\
        --tls-ca ca.pem --tls-cert controller.pem --tls-key controller.key \\
        --p4info node.p4info.txtpb --device-config node.json
  \b
  all of that in a file; a flag wins over it:
    kulvert controller --config controller.yaml --log-level debug
  \b
  write once, check and leave:
    kulvert controller --once ...

What it does: reads Services, EndpointSlices, Pods, Nodes, Namespaces and policies, works out what the switch
has to hold, reads back what it holds, and writes the difference. A restart with nothing changed writes nothing.
docs/controller.md describes the configuration file, the attachments file and the Pod annotations.""",
)
@click.option("--config", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="YAML with any of these options; flags win over it.")  # fmt: skip
@click.option("--node", "--hostname-override", "node_name", metavar="NAME", envvar="NODE_NAME", show_envvar=True,
              help="The Node that this switch serves.  [default: this machine's host name]")  # fmt: skip
@click.option("--p4info", type=_FILE, help="The pipeline's P4Info (text or binary).")
@click.option("--device-config", type=_FILE, help="The compiled pipeline (BMv2 JSON).")
@click.option("--manifests", type=_DIRECTORY, help="State: a folder of manifests, read recursively and watched.")
@click.option("--kubeconfig", type=_FILE, help="State: the API server of a kubeconfig file.")
@click.option("--context", "kube_context", metavar="NAME", help="The kubeconfig's context.  [default: its current one]")
@click.option("--in-cluster", is_flag=True, help="State: the API server of the pod that this runs in.")
@click.option("--events/--no-events", "post_events", default=True, show_default=True,
              help="Post a Kubernetes Event about an object that is wrong.")  # fmt: skip
@click.option("--attachments", type=_FILE, help="Which pod is behind which switch port; watched.")
@click.option("--switch", "switch_address", default="127.0.0.1:9559", show_default=True, metavar="HOST:PORT",
              help="The P4Runtime server.")  # fmt: skip
@click.option("--device-id", default=0, show_default=True, type=click.IntRange(min=0), help="P4Runtime's device id.")
@click.option("--election-id", default=1, show_default=True, type=click.IntRange(min=1),
              help="P4Runtime's election id; the highest is primary.")  # fmt: skip
@click.option("--service-cidr", "service_cidrs", multiple=True, metavar="CIDR[,CIDR]",
              help="A range of Service addresses, beside the cluster's ServiceCIDR objects; those that no Service holds "
              "are dropped. Repeatable.")  # fmt: skip
@click.option("--cluster-cidr", "cluster_cidrs", multiple=True, metavar="CIDR[,CIDR]",
              help="A range of pod addresses. Repeatable.")  # fmt: skip
@click.option("--detect-local-mode", default="Port", show_default=True,
              type=click.Choice(["Port", "ClusterCIDR", "NodeCIDR"]),
              help="How the pods' own traffic is told: by switch port (and elsewhere by all ranges of pods), or by its source "
              "in the cluster CIDR or in this node's podCIDRs alone.")  # fmt: skip
@click.option("--nodeport-addresses", multiple=True, metavar="CIDR[,CIDR]|primary",
              help="Which of the node's addresses serve NodePorts. Repeatable.  [default: primary, its InternalIPs]")  # fmt: skip
@click.option("--masquerade-all", is_flag=True, help="Masquerade everything sent to a Service.")
@click.option("--tunnel-mode", default="routed", show_default=True, type=click.Choice(["routed", "vxlan", "geneve"]),
              help="How pods of other nodes are reached; the same on all nodes.")  # fmt: skip
@click.option("--tunnel-vni", default=1, show_default=True, type=click.IntRange(0, (1 << 24) - 1),
              help="The tunnels' network identifier; the same on all nodes.")  # fmt: skip
@click.option("--revalidate-connections", is_flag=True,
              help="When policies change, end live connections that they no longer allow; else those go on.")  # fmt: skip
@click.option("--tls-ca", type=_FILE, help="PEM: the authority that signed the switch's certificate.")
@click.option("--tls-cert", type=_FILE, help="PEM: the controller's certificate, for mutual TLS.")
@click.option("--tls-key", type=_FILE, help="PEM: its private key.")
@click.option("--tls-server-name", metavar="NAME", help="The name in the switch's certificate.  [default: its host]")
@click.option("--healthz-bind-address", metavar="HOST:PORT",
              help="Serve /healthz, /livez and /readyz here; kube-proxy's is 0.0.0.0:10256.")  # fmt: skip
@click.option("--metrics-bind-address", metavar="HOST:PORT",
              help="Serve /metrics (Prometheus) here; kube-proxy's is 127.0.0.1:10249. May be the same.")  # fmt: skip
@click.option("--control-socket", type=_FILE,
              help="Answer `kulvert status`, `trace`, `tables` and `diff` on this Unix socket.")  # fmt: skip
@click.option("--batch-size", default=1000, show_default=True, type=click.IntRange(min=1),
              help="The most updates in one Write.")  # fmt: skip
@click.option("--resync-seconds", default=300.0, show_default=True, type=click.FloatRange(min=0),
              help="Read the switch back and repair it this often; 0: only on connecting.")  # fmt: skip
@click.option("--modify/--no-modify", "can_modify", default=True, show_default=True,
              help="Whether the switch takes MODIFY; if not, an entry is deleted and inserted.")  # fmt: skip
@click.option("--watch-ports/--no-watch-ports", "can_watch_ports", default=True, show_default=True,
              help="Whether the switch itself passes over next hops whose port is down.")  # fmt: skip
@click.option("--target", metavar="NAME|FILE",
              help="The target file that says what the switch can (modify, watch ports); flags win over it.")  # fmt: skip
@click.option(
    "--once", is_flag=True, help="Write what there is to write, then leave; status 1 if something did not fit."
)
@click.option("--log-format", default="text", show_default=True, type=click.Choice(["text", "json"]))
@click.option("--log-level", default="info", show_default=True,
              type=click.Choice(["debug", "info", "warning", "error"]))  # fmt: skip
@click.option("--otlp-endpoint", metavar="URL",
              help="Send a trace of each synchronization there (OpenTelemetry, OTLP over HTTP).")  # fmt: skip
@click.pass_context
def command(context: click.Context, /, config: Path | None, target: str | None, **values: Any) -> None:
    """Keep a P4Runtime switch in step with Kubernetes' Services, EndpointSlices, Pods and policies.

    State comes from exactly one of --manifests, --kubeconfig and --in-cluster. Runs until Ctrl-C or SIGTERM; the switch goes
    on forwarding without it.
    """
    from controlplane.app import OptionsError, run

    try:
        given = {name for name in values if _is_given(context, name)}
        options = make_options(config, values | _capabilities(target, given), given)
        status = run(options)
    except OptionsError as error:
        raise UserError(str(error)) from error
    sys.exit(status)


def _capabilities(target: str | None, given: set[str]) -> dict[str, Any]:
    """What the target file says of the switch, but for what flags say. Raises UserError."""
    from kulvert.targets import TargetError, load_target

    if target is None:
        return {}
    try:
        capabilities = load_target(target).capabilities
    except TargetError as error:
        raise UserError(str(error)) from error
    said = {"can_modify": capabilities.modify, "can_watch_ports": capabilities.watch_ports}
    found = {name: value for name, value in said.items() if name not in given}
    given |= found.keys()
    return found


def _is_given(context: click.Context, name: str) -> bool:
    return context.get_parameter_source(name) is ParameterSource.COMMANDLINE


def make_options(config: Path | None, values: dict[str, Any], given: set[str]) -> Any:
    """The controller's options: a flag that was given, else the file, else the environment or the flag's default.

    Raises:
        OptionsError
    """
    import socket

    from controlplane.app import ControllerOptions, LogFormat, OptionsError
    from controlplane.config import load_config, split_list

    merged: dict[str, Any] = {name: split_list(value) if name in _LISTS else value for name, value in values.items()}
    source_flags = {"manifests", "kubeconfig", "in_cluster"}
    if config is not None:
        file = load_config(config)
        if given & source_flags:  # a source of state that is given replaces the file's, whatever kind it is of
            file = {name: value for name, value in file.items() if name not in source_flags}
        merged |= {name: value for name, value in file.items() if name not in given}
    for name, flag in (("p4info", "--p4info"), ("device_config", "--device-config")):
        if merged[name] is None and config is None:
            raise click.UsageError(f"Missing option '{flag}'.")
        if merged[name] is None:
            raise OptionsError(f"the pipeline is missing: give {flag}, or pipeline.* in the configuration file")
    merged["node_name"] = (merged["node_name"] or socket.gethostname()).strip().lower()
    merged["log_format"] = LogFormat(merged["log_format"])
    return ControllerOptions(**merged)
