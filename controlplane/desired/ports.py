"""`port_table`: what kind of port each one is, and the pipeline's own MAC on it. Pods' ports are in `pods`."""

from __future__ import annotations

from controlplane.desired.engine import Rule, View
from controlplane.desired.entities import Exact, Param, TableEntry, entry
from controlplane.desired.inputs import ATTACHMENTS, ATTACHMENTS_FILE, Output


def port_entry(port: int, action: str, mac: int) -> TableEntry:
    return entry("port_table", (Exact("ingress_port", port),), action, Param("mac", mac))


def _derive(view: View, key: None) -> Output:
    attachments = view.read(ATTACHMENTS, key)
    entities = [port_entry(uplink.port, "set_uplink_port", uplink.mac) for uplink in attachments.uplinks]
    if attachments.node is not None:
        entities.append(port_entry(attachments.node.port, "set_node_port", attachments.gateway_mac))
    return Output(ATTACHMENTS_FILE, tuple(entities))


PORTS: Rule[None, Output] = Rule("ports", _derive)
