"""NetworkPolicy and ClusterNetworkPolicy by the contract: whether a new connection is allowed."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from ptf_tests.model.objects import MalformedError, PodInfo, Value, World, holds, parse_network, selects

_PROTOCOLS = ("TCP", "UDP", "SCTP")
_MAX_ITEMS = 25


@dataclass(frozen=True)
class Attempt:
    """A new connection as policy sees it: after destination NAT, before the source is masqueraded.

    Attributes:
        protocol: as the API spells it, or ICMP, which has no port.
        is_from_pod: whether it comes in on a pod's own port, where that pod's egress counts.
    """

    src: str
    dst: str
    protocol: str
    port: int
    is_from_pod: bool


class _Verdict(enum.Enum):
    ALLOW = "Accept"
    DENY = "Deny"
    PASS = "Pass"


class Policies:
    """What the policies of a world allow on its node."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._network = world.of_kind("NetworkPolicy")
        cluster = [value for value in world.of_kind("ClusterNetworkPolicy") if _has_subject(value)]
        self._cluster = sorted(cluster, key=lambda value: (value["spec"]["priority"], value["metadata"]["name"]))

    def refusal(self, attempt: Attempt) -> str:
        """ "EGRESS_POLICY" or "INGRESS_POLICY" if that end forbids it, else ""."""
        src = self._world.local_pod_at(attempt.src) if attempt.is_from_pod else None
        dst = self._world.local_pod_at(attempt.dst)
        if attempt.src == attempt.dst:
            return ""  # a pod and itself
        own_node = self._world.here.addresses
        if src is not None and attempt.dst not in own_node and not self._allows(src, "egress", attempt):
            return "EGRESS_POLICY"
        if dst is not None and attempt.src not in own_node and not self._allows(dst, "ingress", attempt):
            return "INGRESS_POLICY"
        return ""

    def _allows(self, pod: PodInfo, direction: str, attempt: Attempt) -> bool:
        verdict = self._tier("Admin", pod, direction, attempt)
        if verdict is not _Verdict.PASS:
            return verdict is _Verdict.ALLOW
        isolating = [value for value in self._network if self._isolates(value, pod, direction)]
        if isolating:
            return any(self._network_policy_allows(value, direction, attempt) for value in isolating)
        return self._tier("Baseline", pod, direction, attempt) is not _Verdict.DENY

    # -- NetworkPolicy

    def _isolates(self, value: Value, pod: PodInfo, direction: str) -> bool:
        spec = value["spec"]
        if value["metadata"]["namespace"] != pod.namespace:
            return False
        try:
            if not selects(spec.get("podSelector"), pod.labels):
                return False
        except MalformedError:
            pass  # closed rather than open
        given = spec.get("policyTypes")
        if given:
            known = [name for name in given if name in ("Ingress", "Egress")]
            return len(known) < len(given) or direction.capitalize() in known
        return direction == "ingress" or bool(spec.get("egress"))

    def _network_policy_allows(self, value: Value, direction: str, attempt: Attempt) -> bool:
        """A policy that is malformed anywhere allows nothing."""
        spec, namespace = value["spec"], value["metadata"]["namespace"]
        found = False
        try:
            selects(spec.get("podSelector"), {})
            if any(name not in ("Ingress", "Egress") for name in spec.get("policyTypes") or ()):
                return False
            for which, field in (("ingress", "from"), ("egress", "to")):
                for rule in spec.get(which) or ():
                    peers = [self._peer(peer, namespace, which, attempt) for peer in rule.get(field) or ()]
                    ports = [self._port(port, attempt) for port in rule.get("ports") or ()]
                    if which == direction and (any(peers) or not peers) and (any(ports) or not ports):
                        found = True
        except MalformedError:
            return False
        return found

    def _peer(self, peer: Value, namespace: str, direction: str, attempt: Attempt) -> bool:
        address = attempt.src if direction == "ingress" else attempt.dst
        block = peer.get("ipBlock")
        if block is not None:
            if "podSelector" in peer or "namespaceSelector" in peer:
                raise MalformedError("ipBlock with selectors")
            return _in_block(block, address)
        if "podSelector" not in peer and "namespaceSelector" not in peer:
            raise MalformedError("a peer that names nobody")
        pod = self._world.pod_at(address)
        nobody: dict[str, str] = {}
        chosen = selects(peer.get("podSelector"), nobody if pod is None else pod.labels)
        if "namespaceSelector" in peer:
            labels = nobody if pod is None else self._world.namespace_labels(pod.namespace)
            chosen = selects(peer["namespaceSelector"], labels) and chosen
        elif pod is not None:
            chosen = chosen and pod.namespace == namespace
        return chosen and pod is not None

    def _port(self, port: Value, attempt: Attempt) -> bool:
        protocol, number, end = port.get("protocol", "TCP"), port.get("port"), port.get("endPort")
        if protocol not in _PROTOCOLS:
            raise MalformedError(f"protocol {protocol!r}")
        if number is None:
            if end is not None:
                raise MalformedError("endPort without port")
            return bool(attempt.protocol == protocol)
        if isinstance(number, str):
            if end is not None or not number:
                raise MalformedError(f"named port {number!r} with endPort {end!r}")
            return attempt.protocol == protocol and self._is_named(number, attempt)
        last = number if end is None else end
        if not 1 <= number <= last <= 65535:
            raise MalformedError(f"ports {number} to {last}")
        return bool(attempt.protocol == protocol and number <= attempt.port <= last)

    def _is_named(self, name: str, attempt: Attempt) -> bool:
        """Whether the destination pod calls the port so, for that protocol."""
        pod = self._world.pod_at(attempt.dst)
        return pod is not None and any(
            (item.name, item.protocol, item.port) == (name, attempt.protocol, attempt.port) for item in pod.ports
        )

    # -- ClusterNetworkPolicy

    def _tier(self, tier: str, pod: PodInfo, direction: str, attempt: Attempt) -> _Verdict:
        """The first rule that matches; PASS if none does."""
        for value in self._cluster:
            spec = value["spec"]
            if spec.get("tier") != tier or not self._is_subject(spec["subject"], pod):
                continue
            for rule in spec.get(direction) or ():
                verdict = _Verdict(rule["action"])
                try:
                    if self._cluster_rule(rule, direction, attempt):
                        return verdict
                except MalformedError:
                    if verdict is not _Verdict.ALLOW:  # closed: an Accept matches nothing, the others deny everything
                        return _Verdict.DENY
        return _Verdict.PASS

    def _is_subject(self, subject: Value, pod: PodInfo) -> bool:
        return self._pods(subject.get("namespaces"), subject.get("pods"), pod)

    def _pods(self, namespaces: Value | None, pods: Value | None, pod: PodInfo | None) -> bool:
        labels = {} if pod is None else self._world.namespace_labels(pod.namespace)
        if pods is not None:
            chosen = selects(pods.get("namespaceSelector"), labels)
            chosen = selects(pods.get("podSelector"), {} if pod is None else pod.labels) and chosen
        else:
            chosen = selects(namespaces, labels)
        return chosen and pod is not None

    def _cluster_rule(self, rule: Value, direction: str, attempt: Attempt) -> bool:
        given: Sequence[Value] = rule.get("from" if direction == "ingress" else "to") or ()
        if not 1 <= len(given) <= _MAX_ITEMS:
            raise MalformedError("peers")
        peers = [self._cluster_peer(peer, direction, attempt) for peer in given]
        protocols = [self._cluster_port(item, attempt) for item in rule.get("protocols") or ()]
        return any(peers) and (any(protocols) or "protocols" not in rule)

    def _cluster_peer(self, peer: Value, direction: str, attempt: Attempt) -> bool:
        address = attempt.src if direction == "ingress" else attempt.dst
        if "domainNames" in peer or (direction == "ingress" and ("networks" in peer or "nodes" in peer)):
            raise MalformedError("a peer that cannot be offered")
        if "networks" in peer:
            return any(holds(parse_network(text), address) for text in peer["networks"])
        if "nodes" in peer:
            chosen = [node for node in self._world.nodes if selects(peer["nodes"], node.labels)]
            return any(address in node.addresses for node in chosen)
        return self._pods(peer.get("namespaces"), peer.get("pods"), self._world.pod_at(address))

    def _cluster_port(self, item: Value, attempt: Attempt) -> bool:
        name = item.get("destinationNamedPort")
        if name is not None:
            return self._is_named(name, attempt)
        ((protocol, match),) = item.items()
        if attempt.protocol != protocol.upper():
            return False
        port = match.get("destinationPort")
        if port is None:
            return True
        low, high = (port["number"],) * 2 if "number" in port else (port["range"]["start"], port["range"]["end"])
        if not 1 <= low <= high <= 65535:
            raise MalformedError(f"ports {low} to {high}")
        return bool(low <= attempt.port <= high)


def _has_subject(value: Value) -> bool:
    subject = value["spec"].get("subject") or {}
    return ("namespaces" in subject) != ("pods" in subject)


def _in_block(block: Value, address: str) -> bool:
    network = parse_network(block["cidr"])
    holes = [parse_network(text) for text in block.get("except") or ()]
    for hole in holes:
        inside = hole.version == network.version and hole.subnet_of(network)  # type: ignore[arg-type]
        if not inside or hole == network:
            raise MalformedError(f"except {hole} is not within {network}")
    return holds(network, address) and not any(holds(hole, address) for hole in holes)
