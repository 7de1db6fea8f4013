"""Kubernetes objects, with only the fields that the controller reads (API reference: v1, discovery/v1, networking/v1).

Decoded by msgspec from the API's JSON: unknown fields are skipped, a field of a wrong type is an error that names its path.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class KubeStruct(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A piece of an API object."""


class ObjectRef(msgspec.Struct, frozen=True, order=True):
    """Which object: shown to people as kind/namespace/name."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return "/".join(part for part in (self.kind, self.namespace, self.name) if part)


class ObjectMeta(KubeStruct, frozen=True):
    name: str
    namespace: str = ""
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None


# -- Service (v1)


class ServicePort(KubeStruct, frozen=True):
    port: int
    name: str | None = None
    protocol: str | None = None
    node_port: int | None = None


class ClientIPConfig(KubeStruct, frozen=True):
    timeout_seconds: int | None = None


class SessionAffinityConfig(KubeStruct, frozen=True):
    client_ip: ClientIPConfig | None = msgspec.field(default=None, name="clientIP")


class ServiceSpec(KubeStruct, frozen=True):
    cluster_ip: str | None = msgspec.field(default=None, name="clusterIP")
    cluster_ips: tuple[str, ...] | None = msgspec.field(default=None, name="clusterIPs")
    type: str | None = None
    ports: tuple[ServicePort, ...] | None = None
    external_ips: tuple[str, ...] | None = msgspec.field(default=None, name="externalIPs")
    load_balancer_source_ranges: tuple[str, ...] | None = None
    session_affinity: str | None = None
    session_affinity_config: SessionAffinityConfig | None = None
    external_traffic_policy: str | None = None
    internal_traffic_policy: str | None = None
    health_check_node_port: int | None = None


class LoadBalancerIngress(KubeStruct, frozen=True):
    ip: str | None = None
    ip_mode: str | None = None


class LoadBalancerStatus(KubeStruct, frozen=True):
    ingress: tuple[LoadBalancerIngress, ...] | None = None


class ServiceStatus(KubeStruct, frozen=True):
    load_balancer: LoadBalancerStatus = LoadBalancerStatus()


class Service(KubeStruct, frozen=True):
    metadata: ObjectMeta
    spec: ServiceSpec = ServiceSpec()
    status: ServiceStatus = ServiceStatus()


# -- EndpointSlice (discovery.k8s.io/v1)


class EndpointConditions(KubeStruct, frozen=True):
    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class HintTarget(KubeStruct, frozen=True):
    name: str


class EndpointHints(KubeStruct, frozen=True):
    for_nodes: tuple[HintTarget, ...] | None = None
    for_zones: tuple[HintTarget, ...] | None = None


class Endpoint(KubeStruct, frozen=True):
    addresses: tuple[str, ...] = ()
    conditions: EndpointConditions | None = None
    node_name: str | None = None
    zone: str | None = None
    hints: EndpointHints | None = None


class EndpointPort(KubeStruct, frozen=True):
    name: str | None = None
    protocol: str | None = None
    port: int | None = None


class EndpointSlice(KubeStruct, frozen=True):
    metadata: ObjectMeta
    address_type: str = "IPv4"
    endpoints: tuple[Endpoint, ...] | None = None
    ports: tuple[EndpointPort, ...] | None = None


# -- Node (v1)


class NodeAddress(KubeStruct, frozen=True):
    type: str
    address: str


class NodeSpec(KubeStruct, frozen=True):
    pod_cidr: str | None = msgspec.field(default=None, name="podCIDR")
    pod_cidrs: tuple[str, ...] | None = msgspec.field(default=None, name="podCIDRs")


class NodeStatus(KubeStruct, frozen=True):
    addresses: tuple[NodeAddress, ...] | None = None


class Node(KubeStruct, frozen=True):
    metadata: ObjectMeta
    spec: NodeSpec = NodeSpec()
    status: NodeStatus = NodeStatus()


# -- Pod (v1)


class ContainerPort(KubeStruct, frozen=True):
    container_port: int
    name: str | None = None
    protocol: str | None = None


class Container(KubeStruct, frozen=True):
    ports: tuple[ContainerPort, ...] | None = None
    restart_policy: str | None = None


class PodSpec(KubeStruct, frozen=True):
    node_name: str | None = None
    host_network: bool | None = None
    containers: tuple[Container, ...] | None = None
    init_containers: tuple[Container, ...] | None = None


class PodIP(KubeStruct, frozen=True):
    ip: str


class PodStatus(KubeStruct, frozen=True):
    phase: str | None = None
    pod_ip: str | None = msgspec.field(default=None, name="podIP")
    pod_ips: tuple[PodIP, ...] | None = msgspec.field(default=None, name="podIPs")


class Pod(KubeStruct, frozen=True):
    metadata: ObjectMeta
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()


# -- Namespace (v1)


class Namespace(KubeStruct, frozen=True):
    metadata: ObjectMeta


# -- NetworkPolicy (networking.k8s.io/v1)


class LabelSelectorRequirement(KubeStruct, frozen=True):
    key: str
    operator: str
    values: tuple[str, ...] | None = None


class LabelSelector(KubeStruct, frozen=True):
    match_labels: dict[str, str] | None = None
    match_expressions: tuple[LabelSelectorRequirement, ...] | None = None


class IPBlock(KubeStruct, frozen=True):
    cidr: str
    except_: tuple[str, ...] | None = msgspec.field(default=None, name="except")


class NetworkPolicyPeer(KubeStruct, frozen=True):
    pod_selector: LabelSelector | None = None
    namespace_selector: LabelSelector | None = None
    ip_block: IPBlock | None = None


class NetworkPolicyPort(KubeStruct, frozen=True):
    protocol: str | None = None
    port: int | str | None = None
    end_port: int | None = None


class NetworkPolicyIngressRule(KubeStruct, frozen=True):
    from_: tuple[NetworkPolicyPeer, ...] | None = msgspec.field(default=None, name="from")
    ports: tuple[NetworkPolicyPort, ...] | None = None


class NetworkPolicyEgressRule(KubeStruct, frozen=True):
    to: tuple[NetworkPolicyPeer, ...] | None = None
    ports: tuple[NetworkPolicyPort, ...] | None = None


class NetworkPolicySpec(KubeStruct, frozen=True):
    pod_selector: LabelSelector | None = None
    policy_types: tuple[str, ...] | None = None
    ingress: tuple[NetworkPolicyIngressRule, ...] | None = None
    egress: tuple[NetworkPolicyEgressRule, ...] | None = None


class NetworkPolicy(KubeStruct, frozen=True):
    """`malformed` says what could not be read of it; such a policy isolates what it selects and allows nothing."""

    metadata: ObjectMeta
    spec: NetworkPolicySpec = NetworkPolicySpec()
    malformed: str | None = None


# -- ServiceCIDR (networking.k8s.io/v1)


class ServiceCIDRSpec(KubeStruct, frozen=True):
    cidrs: tuple[str, ...] | None = None


class ServiceCIDR(KubeStruct, frozen=True):
    """Ranges that Service addresses are given from."""

    metadata: ObjectMeta
    spec: ServiceCIDRSpec = ServiceCIDRSpec()


# -- ClusterNetworkPolicy (policy.networking.k8s.io/v1alpha2)


class NamespacedPod(KubeStruct, frozen=True):
    namespace_selector: LabelSelector | None = None
    pod_selector: LabelSelector | None = None


class ClusterPolicySubject(KubeStruct, frozen=True):
    namespaces: LabelSelector | None = None
    pods: NamespacedPod | None = None


class ClusterPolicyPeer(KubeStruct, frozen=True):
    """Of an ingress or an egress rule; the last three mean something in an egress rule only."""

    namespaces: LabelSelector | None = None
    pods: NamespacedPod | None = None
    nodes: LabelSelector | None = None
    networks: tuple[str, ...] | None = None
    domain_names: tuple[str, ...] | None = None


class PortRange(KubeStruct, frozen=True):
    start: int
    end: int


class ClusterPolicyPort(KubeStruct, frozen=True):
    number: int | None = None
    range: PortRange | None = None


class ProtocolMatch(KubeStruct, frozen=True):
    destination_port: ClusterPolicyPort | None = None


class ClusterPolicyProtocol(KubeStruct, frozen=True):
    tcp: ProtocolMatch | None = None
    udp: ProtocolMatch | None = None
    sctp: ProtocolMatch | None = None
    destination_named_port: str | None = None


class ClusterPolicyRule(KubeStruct, frozen=True):
    action: str
    name: str = ""
    from_: tuple[ClusterPolicyPeer, ...] | None = msgspec.field(default=None, name="from")
    to: tuple[ClusterPolicyPeer, ...] | None = None
    protocols: tuple[ClusterPolicyProtocol, ...] | None = None


class ClusterNetworkPolicySpec(KubeStruct, frozen=True):
    tier: str = ""
    priority: int = -1
    subject: ClusterPolicySubject = ClusterPolicySubject()
    ingress: tuple[ClusterPolicyRule, ...] | None = None
    egress: tuple[ClusterPolicyRule, ...] | None = None


class ClusterNetworkPolicy(KubeStruct, frozen=True):
    """`malformed` says what could not be read of it; such a policy denies its subject everything."""

    metadata: ObjectMeta
    spec: ClusterNetworkPolicySpec = ClusterNetworkPolicySpec()
    malformed: str | None = None


KubeObject = Service | EndpointSlice | Node | Pod | Namespace | NetworkPolicy | ServiceCIDR | ClusterNetworkPolicy


class Resource(msgspec.Struct, frozen=True):
    """One kind of object: how it is spelt in a manifest, where the API server has it, and its type.

    `is_optional`: a cluster may not have this API; then there are no such objects.
    """

    kind: str
    api_version: str
    plural: str
    namespaced: bool
    type: type[KubeObject]
    is_optional: bool = False

    @property
    def path(self) -> str:
        """The collection's path on the API server, over all namespaces."""
        root = "/api/" if "/" not in self.api_version else "/apis/"
        return f"{root}{self.api_version}/{self.plural}"


RESOURCES: Mapping[str, Resource] = {
    resource.kind: resource
    for resource in (
        Resource("Namespace", "v1", "namespaces", False, Namespace),
        Resource("Node", "v1", "nodes", False, Node),
        Resource(
            "ClusterNetworkPolicy",
            "policy.networking.k8s.io/v1alpha2",
            "clusternetworkpolicies",
            False,
            ClusterNetworkPolicy,
            is_optional=True,
        ),
        Resource("ServiceCIDR", "networking.k8s.io/v1", "servicecidrs", False, ServiceCIDR, is_optional=True),
        Resource("NetworkPolicy", "networking.k8s.io/v1", "networkpolicies", True, NetworkPolicy),
        Resource("Pod", "v1", "pods", True, Pod),
        Resource("Service", "v1", "services", True, Service),
        Resource("EndpointSlice", "discovery.k8s.io/v1", "endpointslices", True, EndpointSlice),
    )
}
"""By kind, in the order in which a first list is best read: what others refer to comes first."""


def reference(obj: KubeObject) -> ObjectRef:
    """The object's kind, namespace and name."""
    return ObjectRef(type(obj).__name__, obj.metadata.namespace, obj.metadata.name)
