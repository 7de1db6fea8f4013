"""`port_table`: what kind of port each one is, and the pipeline's own MAC on it; `mtu_table`. Pods' entries are made in `pods`."""

from __future__ import annotations

from controlplane.desired.engine import Channel, Engine, Input, Rule, View
from controlplane.desired.entities import Exact, Param, TableEntry, entry
from controlplane.desired.inputs import ATTACHMENTS, ATTACHMENTS_FILE, Output
from controlplane.kube.objects import ObjectRef

PORT_CLAIMS: Channel[tuple[int, ObjectRef]] = Channel("ports that pods say they have")
PORT_OWNER: Input[int, ObjectRef | None] = Input("the pod that has a port: of several, the one that sorts first", None)


class PortIndex:
    """Who claims which port. Feeds `PORT_OWNER`: two pods behind one port would pass for each other."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._claims: dict[int, set[ObjectRef]] = {}
        engine.connect(PORT_CLAIMS, self)

    def add(self, item: tuple[int, ObjectRef]) -> None:
        self._claims.setdefault(item[0], set()).add(item[1])
        self._publish(item[0])

    def remove(self, item: tuple[int, ObjectRef]) -> None:
        self._claims[item[0]].discard(item[1])
        self._publish(item[0])

    def _publish(self, port: int) -> None:
        self._engine.set(PORT_OWNER, port, min(self._claims[port], default=None))
        if not self._claims[port]:
            del self._claims[port]


def port_entry(port: int, action: str, mac: int) -> TableEntry:
    return entry("port_table", (Exact("ingress_port", port),), action, Param("mac", mac))


def mtu_entries(port: int, mtu: int) -> list[TableEntry]:
    """What limits the packets that leave on a port: nothing, if `mtu` is 0."""
    return [entry("mtu_table", (Exact("egress_port", port),), "set_mtu", Param("mtu", mtu))] if mtu else []


def _derive(view: View, key: None) -> Output:
    attachments = view.read(ATTACHMENTS, key)
    entities: list[TableEntry] = []
    for uplink in attachments.uplinks:
        entities += [port_entry(uplink.port, "set_uplink_port", uplink.mac), *mtu_entries(uplink.port, uplink.mtu)]
    node = attachments.node
    if node is not None:
        entities += [
            port_entry(node.port, "set_node_port", attachments.gateway_mac),
            *mtu_entries(node.port, node.mtu),
        ]
    return Output(ATTACHMENTS_FILE, tuple(entities))


PORTS: Rule[None, Output] = Rule("ports", _derive)
