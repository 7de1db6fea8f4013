"""The configuration file: every option, typed; errors with a place; flags win."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from controlplane.config import ConfigError, load_config
from controlplane.options import ControllerOptions, OptionsError
from kulvert.commands.controller import _capabilities, _is_given, command, make_options
from kulvert.targets import find_target

EVERYTHING = """
apiVersion: kulvert.dev/v1alpha1
kind: ControllerConfiguration
hostnameOverride: worker-1
clientConnection: {kubeconfig: kube.config, context: lab, inCluster: false, postEvents: false}
manifests: manifests
attachments: ports.yaml
pipeline: {p4info: node.p4info.txtpb, deviceConfig: /etc/node.json}
switch:
  address: 10.0.0.7:9559
  deviceId: 3
  electionId: 9
  batchSize: 500
  resyncSeconds: 60
  canModify: false
  canWatchPorts: false
  tls: {ca: ca.pem, cert: c.pem, key: k.pem, serverName: dpu}
clusterCIDR: 10.244.0.0/16,fd00:10:244::/48
serviceCIDRs: [10.96.0.0/12]
detectLocalMode: ClusterCIDR
nodePortAddresses: [192.0.2.0/24]
masqueradeAll: true
tunnel: {mode: geneve, vni: 4242}
revalidateConnections: true
healthzBindAddress: 0.0.0.0:10256
metricsBindAddress: 127.0.0.1:10249
controlSocket: /run/kulvert/controller.sock
otlpEndpoint: http://collector:4318
logging: {format: json, level: debug}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "controller.yaml"
    path.write_text(text)
    return path


def flags(*argv: str) -> tuple[dict[str, Any], set[str]]:
    """What click makes of a command line: the values, and which of them were given."""
    context = command.make_context("controller", list(argv))
    values = {name: value for name, value in context.params.items() if name not in ("config", "target")}
    return values, {name for name in values if _is_given(context, name)}


def test_the_file_says_everything_that_flags_say(tmp_path: Path) -> None:
    found = load_config(write(tmp_path, EVERYTHING))
    settable = {field.name for field in dataclasses.fields(ControllerOptions)} - {"once"}
    assert set(found) == settable
    assert found["kubeconfig"] == tmp_path / "kube.config" and found["device_config"] == Path("/etc/node.json")
    assert found["cluster_cidrs"] == ("10.244.0.0/16", "fd00:10:244::/48")


def test_flags_win_over_the_file_and_the_file_over_defaults(tmp_path: Path) -> None:
    path = write(tmp_path, EVERYTHING.replace("manifests: manifests\n", ""))
    values, given = flags("--log-level", "error", "--service-cidr", "10.0.0.0/8,fd00::/108", "--node", "Other ")
    options = make_options(path, values, given)
    assert (options.log_level, options.node_name) == ("error", "other")
    assert options.service_cidrs == ("10.0.0.0/8", "fd00::/108")
    assert (options.device_id, options.masquerade_all, options.can_modify) == (3, True, False)
    settings = options.settings()
    assert [str(prefix) for prefix in settings.nodeport_addresses or ()] == ["192.0.2.0/24"]
    assert settings.detect_local_mode == "ClusterCIDR"
    assert (settings.tunnel_mode, settings.tunnel_vni) == ("geneve", 4242)


def test_a_source_of_state_given_as_a_flag_replaces_the_files(tmp_path: Path) -> None:
    values, given = flags("--manifests", str(tmp_path))
    options = make_options(write(tmp_path, EVERYTHING), values, given)
    assert options.manifests == tmp_path and options.kubeconfig is None


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("switch:\n  address: 1\n", r":2:12: Expected `str \| null`, got `int` - at `\$\.switch\.address`"),
        ("switch:\n  adress: x\n", r":2:11: .*unknown field `adress`"),
        ("detectLocalMode: BridgeInterface\n", r":1:18: Invalid enum value 'BridgeInterface'"),
        ("tunnel: {mode: ipip}\n", r":1:16: Invalid enum value 'ipip'"),
        ("tunnel: {vni: 16777216}\n", r":1:15: Expected `int` <= 16777215"),
        ("kind: KubeProxyConfiguration\n", r":1:7: "),
        ("a: [1\n", r":2:1: not YAML"),
        ("- a\n", r":1:1: Expected `object`, got `array`"),
        ("kind: ControllerConfiguration\n---\nkind: x\n", r":3:1: .*one document"),
    ],
)
def test_errors_have_line_and_column(tmp_path: Path, text: str, place: str) -> None:
    with pytest.raises(ConfigError, match=r"controller\.yaml" + place):
        load_config(write(tmp_path, text))


def test_an_unreadable_file_and_a_missing_pipeline_are_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path / "nowhere.yaml")
    values, given = flags()
    with pytest.raises(OptionsError, match="--p4info"):
        make_options(write(tmp_path, "hostnameOverride: x\n"), values, given)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"detect_local_mode": "ClusterCIDR"}, "needs the cluster CIDR"),
        ({"detect_local_mode": "BridgeInterface"}, "sees ports, not the host's interfaces"),
        ({"nodeport_addresses": ("eth0",)}, "node-port addresses: 'eth0'"),
        ({"metrics_bind_address": "x"}, "not host:port"),
        ({"log_level": "loud"}, "log level"),
        ({"tunnel_mode": "ipip"}, "tunnel mode must be one of routed, vxlan, geneve, not 'ipip'"),
        ({"tunnel_vni": 1 << 24}, "tunnel VNI must be between 0 and 16777215"),
    ],
)
def test_options_that_cannot_be(tmp_path: Path, change: dict[str, object], words: str) -> None:
    file = tmp_path / "x"
    file.write_text("")
    options = ControllerOptions("a", file, file, manifests=tmp_path)
    with pytest.raises(OptionsError, match=words):
        dataclasses.replace(options, **change).check()  # type: ignore[arg-type]


def test_node_ports_are_on_the_primary_addresses_unless_said_otherwise(tmp_path: Path) -> None:
    for given in ((), ("primary",)):
        options = ControllerOptions("a", tmp_path, tmp_path, nodeport_addresses=given)
        assert options.settings().nodeport_addresses is None


@pytest.mark.parametrize(("argv", "wanted"), [([], False), (["--modify"], True)])
def test_the_target_file_says_what_the_switch_can_and_flags_win(tmp_path: Path, argv: list[str], wanted: bool) -> None:
    target = tmp_path / "dpu.toml"
    target.write_text(find_target("small").read_text() + '\n[capabilities]\nmodify = false\nsizes = "2^n-1"\n')
    values, given = flags("--p4info", "p", "--device-config", "d", *argv)
    options = make_options(None, values | _capabilities(str(target), given), given)
    assert options.can_modify is wanted
