"""`kulvert controller`: Kubernetes' state, kept on a P4Runtime switch."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from kulvert.failures import UserError

_FILE = click.Path(dir_okay=False, path_type=Path)
_DIRECTORY = click.Path(file_okay=False, path_type=Path)


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
  write once, check and leave:
    kulvert controller --once ...

What it does: reads Services, EndpointSlices, Pods, Nodes, Namespaces and NetworkPolicies, works out what the switch
has to hold, reads back what it holds, and writes the difference. A restart with nothing changed writes nothing.
docs/controller.md describes the attachments file and the Pod annotations.""",
)
@click.option("--node", "node_name", required=True, metavar="NAME", help="The Node that this switch serves.")
@click.option("--p4info", required=True, type=_FILE, help="The pipeline's P4Info (text or binary).")
@click.option("--device-config", required=True, type=_FILE, help="The compiled pipeline (BMv2 JSON).")
@click.option("--manifests", type=_DIRECTORY, help="State: a folder of manifests, read recursively and watched.")
@click.option("--kubeconfig", type=_FILE, help="State: the API server of a kubeconfig file.")
@click.option("--context", "kube_context", metavar="NAME", help="The kubeconfig's context.  [default: its current one]")
@click.option("--in-cluster", is_flag=True, help="State: the API server of the pod that this runs in.")
@click.option("--attachments", type=_FILE, help="Which pod is behind which switch port; watched.")
@click.option("--switch", "switch_address", default="127.0.0.1:9559", show_default=True, metavar="HOST:PORT",
              help="The P4Runtime server.")  # fmt: skip
@click.option("--device-id", default=0, show_default=True, type=click.IntRange(min=0), help="P4Runtime's device id.")
@click.option("--election-id", default=1, show_default=True, type=click.IntRange(min=1),
              help="P4Runtime's election id; the highest is primary.")  # fmt: skip
@click.option("--service-cidr", "service_cidrs", multiple=True, metavar="CIDR",
              help="A range of Service addresses; those that no Service holds are dropped. Repeatable.")  # fmt: skip
@click.option("--cluster-cidr", "cluster_cidrs", multiple=True, metavar="CIDR",
              help="A range of pod addresses. Repeatable.")  # fmt: skip
@click.option("--tls-ca", type=_FILE, help="PEM: the authority that signed the switch's certificate.")
@click.option("--tls-cert", type=_FILE, help="PEM: the controller's certificate, for mutual TLS.")
@click.option("--tls-key", type=_FILE, help="PEM: its private key.")
@click.option("--tls-server-name", metavar="NAME", help="The name in the switch's certificate.  [default: its host]")
@click.option("--health-address", metavar="HOST:PORT", help="Serve /healthz, /readyz and /metrics here.")
@click.option("--batch-size", default=1000, show_default=True, type=click.IntRange(min=1),
              help="The most updates in one Write.")  # fmt: skip
@click.option("--resync-seconds", default=300.0, show_default=True, type=click.FloatRange(min=0),
              help="Read the switch back and repair it this often; 0: only on connecting.")  # fmt: skip
@click.option(
    "--once", is_flag=True, help="Write what there is to write, then leave; status 1 if something did not fit."
)
@click.option("--log-format", default="text", show_default=True, type=click.Choice(["text", "json"]))
@click.option("--log-level", default="info", show_default=True,
              type=click.Choice(["debug", "info", "warning", "error"]))  # fmt: skip
def command(log_format: str, **values: Any) -> None:
    """Keep a P4Runtime switch in step with Kubernetes' Services, EndpointSlices, Pods and NetworkPolicies.

    State comes from exactly one of --manifests, --kubeconfig and --in-cluster. Runs until Ctrl-C or SIGTERM; the switch goes
    on forwarding without it.
    """
    from controlplane.app import ControllerOptions, LogFormat, OptionsError, run

    try:
        options = ControllerOptions(**values, log_format=LogFormat(log_format))
        status = run(options)
    except OptionsError as error:
        raise UserError(str(error)) from error
    sys.exit(status)
