"""What the derivation starts from: the inputs that rules read, and the form of what they give."""

from __future__ import annotations

import msgspec

from controlplane.addresses import Prefix
from controlplane.attachments import Attachments, PodAttachment
from controlplane.desired.engine import Input
from controlplane.desired.entities import ActionProfileGroup, Entity, GroupMember
from controlplane.kube.objects import EndpointSlice, KubeObject, Node, ObjectRef

DETECT_LOCAL_MODES = ("Port", "ClusterCIDR", "NodeCIDR")
"""How the traffic of the cluster's own pods is told: by the switch port, or by its source address."""

TUNNEL_MODES = ("routed", "vxlan", "geneve")
"""How pods of other nodes are reached: by plain routes, or in packets from node to node."""

MAX_VNI = (1 << 24) - 1


class Settings(msgspec.Struct, frozen=True):
    """What the operator says and the cluster does not.

    Attributes:
        node_name: this node's.
        service_cidrs: ranges of Service addresses, beside those of the ServiceCIDR objects.
        cluster_cidrs: ranges of pod addresses.
        detect_local_mode: one of DETECT_LOCAL_MODES.
        nodeport_addresses: ranges of the node's addresses that serve NodePorts; None: its InternalIPs.
        masquerade_all: masquerade everything sent to a Service.
        tunnel_mode: one of TUNNEL_MODES, the same on all nodes.
        tunnel_vni: the tunnels' network identifier, the same on all nodes.
        watch_ports: whether the switch is told which port each of several next hops is on, to pass over it when that is down.
    """

    node_name: str
    service_cidrs: tuple[Prefix, ...] = ()
    cluster_cidrs: tuple[Prefix, ...] = ()
    detect_local_mode: str = "Port"
    nodeport_addresses: tuple[Prefix, ...] | None = None
    masquerade_all: bool = False
    tunnel_mode: str = "routed"
    tunnel_vni: int = 1
    watch_ports: bool = True


class Problem(msgspec.Struct, frozen=True, order=True):
    """Why an object is not, or not wholly, programmed."""

    ref: ObjectRef
    message: str

    def __str__(self) -> str:
        return f"{self.ref}: {self.message}"


class Output(msgspec.Struct, frozen=True):
    """What a rule wants in the switch.

    Attributes:
        precedence: who wins where two rules want different entries of one key on purpose; equals are a conflict.
        origins: for each entity the object to name to people, if it is not `source` for all of them.
    """

    source: ObjectRef
    entities: tuple[Entity, ...] = ()
    problems: tuple[Problem, ...] = ()
    precedence: int = 0
    origins: tuple[ObjectRef, ...] = ()


def share_entities(old: object, new: object) -> object:
    """`new`, with the very entities of `old` where they are equal, and in groups the very members.

    One of 250 endpoints has changed, and the others stay what they are.
    """
    if not isinstance(old, Output) or not isinstance(new, Output) or not old.entities or not new.entities:
        return new
    known = {entity: entity for entity in old.entities}
    members = {
        item: item for entity in old.entities if isinstance(entity, ActionProfileGroup) for item in entity.members
    }
    return msgspec.structs.replace(
        new, entities=tuple([known.get(entity) or _share_members(entity, members) for entity in new.entities])
    )


def _share_members(entity: Entity, known: dict[GroupMember, GroupMember]) -> Entity:
    if not isinstance(entity, ActionProfileGroup):
        return entity
    return ActionProfileGroup(
        entity.action_profile, entity.group, tuple([known.get(item, item) for item in entity.members])
    )


CONFIGURATION = ObjectRef("Configuration", "", "controller")
"""The source of what comes from the options."""

ATTACHMENTS_FILE = ObjectRef("Attachments", "", "file")
"""The source of what comes from the attachments file alone."""

SETTINGS: Input[None, Settings] = Input("settings", Settings(""))
OBJECT: Input[ObjectRef, KubeObject | None] = Input("object", None)
SLICES: Input[tuple[str, str], tuple[EndpointSlice, ...]] = Input("slices of a Service, sorted by name", ())
POLICIES: Input[str, tuple[ObjectRef, ...]] = Input("policies of a namespace, sorted", ())
CLUSTER_POLICIES: Input[None, tuple[ObjectRef, ...]] = Input("ClusterNetworkPolicies, sorted", ())
NAMESPACE_LABELS: Input[str, tuple[tuple[str, str], ...] | None] = Input("labels of a namespace, sorted", None)
NODES: Input[None, tuple[Node, ...]] = Input("nodes, sorted by name", ())
ATTACHMENTS: Input[None, Attachments] = Input("attachments but for the pods", Attachments())
POD_ATTACHMENT: Input[ObjectRef, PodAttachment | None] = Input("attachment of a pod in the file", None)
