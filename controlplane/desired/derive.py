"""The derivation as a whole: objects and configuration in, changes to entities out. All wiring of the rules is here."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from controlplane.attachments import Attachments, PodAttachment
from controlplane.desired.cluster_policy import CLUSTER_POLICY_REPORT
from controlplane.desired.engine import Engine, Failure, Rule
from controlplane.desired.health_checks import HEALTH_CHECK, HealthCheckIndex
from controlplane.desired.identities import POD_IDENTITY, BlockIndex
from controlplane.desired.inputs import (
    ATTACHMENTS,
    CLUSTER_POLICIES,
    CONFIGURATION,
    NAMESPACE_LABELS,
    NODES,
    OBJECT,
    POD_ATTACHMENT,
    POLICIES,
    SETTINGS,
    SLICES,
    Output,
    Problem,
    Settings,
    share_entities,
)
from controlplane.desired.ledger import Change, Ledger
from controlplane.desired.neighbors import NEIGHBORS
from controlplane.desired.node import CLUSTER_SOURCES, LOCAL_SOURCES, NODE_SOURCES
from controlplane.desired.pods import POD
from controlplane.desired.policy import POLICY_REPORT
from controlplane.desired.ports import PORTS, PortIndex
from controlplane.desired.routes import NODE, STATIC_ROUTES
from controlplane.desired.selectors import PeerIndex
from controlplane.desired.services import SERVICE, SERVICE_CIDR, SERVICE_RANGES
from controlplane.kube.objects import EndpointSlice, KubeObject, Node, ObjectRef

SERVICE_NAME_LABEL = "kubernetes.io/service-name"

_PER_OBJECT: dict[str, tuple[Rule[ObjectRef, Output], ...]] = {
    "Service": (SERVICE, HEALTH_CHECK),
    "Node": (NODE, NODE_SOURCES),
    "Pod": (POD, POD_IDENTITY),
    "NetworkPolicy": (POLICY_REPORT,),
    "ClusterNetworkPolicy": (CLUSTER_POLICY_REPORT,),
    "ServiceCIDR": (SERVICE_CIDR,),
}
_ALWAYS: tuple[Rule[None, Output], ...] = (
    PORTS,
    NEIGHBORS,
    STATIC_ROUTES,
    SERVICE_RANGES,
    LOCAL_SOURCES,
    CLUSTER_SOURCES,
)


class Derivation:
    """From objects to entities. `apply` and `set_attachments` say what changed, `step` works it through, `ledger` has the result."""

    def __init__(self, settings: Settings) -> None:
        self.ledger = Ledger()
        self.engine = Engine(self._changed, share_entities)
        self._blocks = BlockIndex(self.engine)
        self._peers = PeerIndex(self.engine)
        self._ports = PortIndex(self.engine)
        self.health_checks = HealthCheckIndex(self.engine)
        self._slices: dict[tuple[str, str], dict[ObjectRef, EndpointSlice]] = {}
        self._service_of: dict[ObjectRef, tuple[str, str]] = {}
        self._policies: dict[str, set[ObjectRef]] = {}
        self._cluster_policies: set[ObjectRef] = set()
        self._nodes: dict[ObjectRef, Node] = {}
        self._nodes_are_read = False
        self._attached: dict[ObjectRef, PodAttachment] = {}
        self.engine.hook(NODES, self._start_nodes, self._stop_nodes)
        self.engine.set(SETTINGS, None, settings)
        for rule in _ALWAYS:
            self.engine.pin(rule, None)

    def apply(self, ref: ObjectRef, obj: KubeObject | None) -> None:
        """An object as it is now; None when it is gone."""
        if ref.kind == "EndpointSlice":
            self._apply_slice(ref, obj if isinstance(obj, EndpointSlice) else None)
            return
        if ref.kind == "Namespace":
            labels = None if obj is None else obj.metadata.labels or {}
            self._peers.set_namespace(ref.name, labels)
            self.engine.set(NAMESPACE_LABELS, ref.name, None if labels is None else tuple(sorted(labels.items())))
            return
        self.engine.set(OBJECT, ref, obj)
        if ref.kind == "NetworkPolicy":
            policies = self._policies.setdefault(ref.namespace, set())
            (policies.discard if obj is None else policies.add)(ref)
            self.engine.set(POLICIES, ref.namespace, tuple(sorted(policies)))
        elif ref.kind == "ClusterNetworkPolicy":
            (self._cluster_policies.discard if obj is None else self._cluster_policies.add)(ref)
            self.engine.set(CLUSTER_POLICIES, None, tuple(sorted(self._cluster_policies)))
        elif ref.kind == "Node":
            self._nodes.pop(ref, None)
            if isinstance(obj, Node):
                self._nodes[ref] = obj
            if self._nodes_are_read:
                self.engine.set(NODES, None, self._all_nodes())
        for rule in _PER_OBJECT.get(ref.kind, ()):
            (self.engine.unpin if obj is None else self.engine.pin)(rule, ref)

    def _all_nodes(self) -> tuple[Node, ...]:
        return tuple(self._nodes[ref] for ref in sorted(self._nodes))

    def _start_nodes(self, key: None) -> tuple[Node, ...]:
        """Only a ClusterNetworkPolicy that names nodes reads them all; without one, a node costs nothing here."""
        self._nodes_are_read = True
        return self._all_nodes()

    def _stop_nodes(self, key: None) -> None:
        self._nodes_are_read = False

    def _apply_slice(self, ref: ObjectRef, obj: EndpointSlice | None) -> None:
        service = (obj.metadata.labels or {}).get(SERVICE_NAME_LABEL) if obj is not None else None
        owner = None if service is None else (ref.namespace, service)
        before = self._service_of.pop(ref, None)
        if before is not None and before != owner:
            del self._slices[before][ref]
            self._publish_slices(before)
        if owner is not None and obj is not None:
            self._service_of[ref] = owner
            self._slices.setdefault(owner, {})[ref] = obj
            self._publish_slices(owner)

    def _publish_slices(self, owner: tuple[str, str]) -> None:
        slices = self._slices[owner]
        self.engine.set(SLICES, owner, tuple(slices[ref] for ref in sorted(slices)))
        if not slices:
            del self._slices[owner]

    def set_attachments(self, attachments: Attachments) -> None:
        """Where the ports lead, as the file says now."""
        pods = dict(attachments.pods)
        for ref in self._attached.keys() - pods.keys():
            self.engine.set(POD_ATTACHMENT, ref, None)
        for ref, attachment in pods.items():
            self.engine.set(POD_ATTACHMENT, ref, attachment)
        self._attached = pods
        shared = Attachments(
            attachments.gateway_mac,
            attachments.gateway_addresses,
            attachments.node,
            attachments.uplinks,
            attachments.routes,
        )
        self.engine.set(ATTACHMENTS, None, shared)

    def step(self, limit: int) -> bool:
        """Work on up to `limit` changes; whether the ledger is up to date. In between it must not be acted on."""
        return self.engine.step(limit)

    def settle(self) -> None:
        """Work everything through."""
        self.engine.settle()

    def take_changes(self) -> list[Change]:
        """What has changed in the ledger since the last call."""
        return self.ledger.take_changes()

    @property
    def problems(self) -> frozenset[Problem]:
        """Everything that is wrong with the objects at present."""
        return self.ledger.problems

    def _changed(self, rule: Rule[Any, Any], key: Hashable, old: Any, new: Any) -> None:
        if isinstance(new, Failure):  # nothing derived from it: closed
            source = key if isinstance(key, ObjectRef) else CONFIGURATION
            new = Output(source, (), (Problem(source, f"internal error, please report it: {new}"),))
        if isinstance(old, Output | Failure) or isinstance(new, Output):
            owner = (rule.name, str(key))
            self.ledger.update(
                owner, old if isinstance(old, Output) else None, new if isinstance(new, Output) else None
            )
