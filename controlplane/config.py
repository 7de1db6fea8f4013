"""The configuration file: what the flags of `kulvert controller` say, in YAML, in the words of kube-proxy's where it has them.

Every key is typed and known; what is wrong is said with `file:line:col`. A flag wins over the file.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from controlplane.desired.inputs import MAX_VNI
from controlplane.files import why_unreadable
from controlplane.kube.documents import Document, parse_yaml
from controlplane.options import OptionsError

DetectLocalMode = Literal["Port", "ClusterCIDR", "NodeCIDR"]
TunnelMode = Literal["routed", "vxlan", "geneve"]
LogLevel = Literal["debug", "info", "warning", "error"]


class ConfigError(OptionsError):
    """The configuration file cannot be used. `str()` is `file:line:col: what is wrong`."""


class _Strict(msgspec.Struct, forbid_unknown_fields=True, rename="camel", omit_defaults=True):
    pass


class _TlsSection(_Strict):
    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    server_name: str | None = None


class _SwitchSection(_Strict):
    address: str | None = None
    device_id: int | None = None
    election_id: int | None = None
    batch_size: int | None = None
    resync_seconds: float | None = None
    can_modify: bool | None = None
    can_watch_ports: bool | None = None
    tls: _TlsSection | None = None


class _PipelineSection(_Strict):
    p4info: str | None = None
    device_config: str | None = None


class _ClientSection(_Strict):
    kubeconfig: str | None = None
    context: str | None = None
    in_cluster: bool | None = None
    post_events: bool | None = None


class _TunnelSection(_Strict):
    mode: TunnelMode | None = None
    vni: Annotated[int, msgspec.Meta(ge=0, le=MAX_VNI)] | None = None


class _LoggingSection(_Strict):
    format: Literal["text", "json"] | None = None
    level: LogLevel | None = None


class Configuration(_Strict):
    """The file, as it is written."""

    api_version: Literal["kulvert.dev/v1alpha1"] = "kulvert.dev/v1alpha1"
    kind: Literal["ControllerConfiguration"] = "ControllerConfiguration"
    hostname_override: str | None = None
    client_connection: _ClientSection | None = None
    manifests: str | None = None
    attachments: str | None = None
    pipeline: _PipelineSection | None = None
    switch: _SwitchSection | None = None
    cluster_cidr: str | list[str] | None = msgspec.field(default=None, name="clusterCIDR")
    service_cidrs: str | list[str] | None = msgspec.field(default=None, name="serviceCIDRs")
    detect_local_mode: DetectLocalMode | None = None
    node_port_addresses: list[str] | None = None
    masquerade_all: bool | None = None
    tunnel: _TunnelSection | None = None
    revalidate_connections: bool | None = None
    healthz_bind_address: str | None = None
    metrics_bind_address: str | None = None
    control_socket: str | None = None
    otlp_endpoint: str | None = None
    logging: _LoggingSection | None = None


def load_config(path: Path) -> dict[str, Any]:
    """The options that the file sets, named as `ControllerOptions` names them; relative paths count from the file's folder.

    Raises:
        ConfigError: it cannot be read, is no YAML, or has an unknown key or a value of a wrong type.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {why_unreadable(error)}") from None
    documents = list(parse_yaml(text))
    if not documents:
        return {}
    document = documents[0]
    if document.error is not None:
        raise ConfigError(f"{path}:{document.line}:{document.column}: {document.error}")
    if len(documents) > 1:
        raise ConfigError(f"{path}:{documents[1].line}:1: a configuration file holds one document")
    try:
        found = msgspec.convert(document.value, Configuration, strict=True)
    except msgspec.ValidationError as error:
        line, column = _place(document, str(error))
        raise ConfigError(f"{path}:{line}:{column}: {error}") from None
    return _flatten(found, path.parent)


def _place(document: Document, message: str) -> tuple[int, int]:
    path = re.search(r"at `(\$[^`]*)`", message)
    place = path.group(1) if path else "$"
    unknown = re.search(r"unknown field `([^`]+)`", message)
    return document.place_of(f"{place}.{unknown.group(1)}" if unknown else place)


_PATHS = ("kubeconfig", "manifests", "attachments", "p4info", "device_config", "control_socket")
_TLS_PATHS = ("tls_ca", "tls_cert", "tls_key")


def _flatten(file: Configuration, folder: Path) -> dict[str, Any]:
    client = file.client_connection or _ClientSection()
    pipeline = file.pipeline or _PipelineSection()
    switch = file.switch or _SwitchSection()
    tls = switch.tls or _TlsSection()
    logging = file.logging or _LoggingSection()
    tunnel = file.tunnel or _TunnelSection()
    values: dict[str, Any] = {
        "node_name": file.hostname_override,
        "kubeconfig": client.kubeconfig,
        "kube_context": client.context,
        "in_cluster": client.in_cluster,
        "post_events": client.post_events,
        "manifests": file.manifests,
        "attachments": file.attachments,
        "p4info": pipeline.p4info,
        "device_config": pipeline.device_config,
        "switch_address": switch.address,
        "device_id": switch.device_id,
        "election_id": switch.election_id,
        "batch_size": switch.batch_size,
        "resync_seconds": switch.resync_seconds,
        "can_modify": switch.can_modify,
        "can_watch_ports": switch.can_watch_ports,
        "tls_ca": tls.ca,
        "tls_cert": tls.cert,
        "tls_key": tls.key,
        "tls_server_name": tls.server_name,
        "cluster_cidrs": split_list(file.cluster_cidr),
        "service_cidrs": split_list(file.service_cidrs),
        "detect_local_mode": file.detect_local_mode,
        "nodeport_addresses": split_list(file.node_port_addresses),
        "masquerade_all": file.masquerade_all,
        "tunnel_mode": tunnel.mode,
        "tunnel_vni": tunnel.vni,
        "revalidate_connections": file.revalidate_connections,
        "healthz_bind_address": file.healthz_bind_address,
        "metrics_bind_address": file.metrics_bind_address,
        "control_socket": file.control_socket,
        "otlp_endpoint": file.otlp_endpoint,
        "log_format": logging.format,
        "log_level": logging.level,
    }
    for name in (*_PATHS, *_TLS_PATHS):
        if values[name] is not None:
            values[name] = folder / values[name]
    return {name: value for name, value in values.items() if value is not None}


def split_list(value: str | list[str] | tuple[str, ...] | None) -> tuple[str, ...] | None:
    """A list that may be written with commas, as kube-proxy's are."""
    if value is None:
        return None
    items = [value] if isinstance(value, str) else value
    return tuple(part.strip() for item in items for part in item.split(",") if part.strip())
