"""What a NetworkPolicy (networking.k8s.io/v1) means. A policy that is malformed anywhere isolates what it selects and allows nothing."""

from __future__ import annotations

from typing import Final

import msgspec

from controlplane.addresses import AddressError, parse_prefix
from controlplane.desired.engine import Rule, View
from controlplane.desired.inputs import OBJECT, Output, Problem
from controlplane.desired.selectors import (
    BlockPeer,
    Peer,
    PodPeer,
    Selector,
    SelectorError,
    parse_selector,
)
from controlplane.desired.symbols import Protocol
from controlplane.kube.objects import (
    NetworkPolicy,
    NetworkPolicyPeer,
    NetworkPolicyPort,
    ObjectRef,
)

INGRESS: Final = "ingress"
EGRESS: Final = "egress"
_TYPES = {"Ingress": INGRESS, "Egress": EGRESS}


class PolicyError(ValueError):
    """The policy says something impossible. `str()` names the field."""


class PolicyPort(msgspec.Struct, frozen=True):
    """A protocol and its ports: from `low` to `high`, or, if `name` is not "", what each pod calls so. Protocol 0 is any."""

    protocol: int
    low: int = 0
    high: int = 65535
    name: str = ""


class PolicyRule(msgspec.Struct, frozen=True):
    """Any of the peers on any of the ports. None is everybody, and everything."""

    peers: tuple[Peer, ...] | None
    ports: tuple[PolicyPort, ...] | None


class ParsedPolicy(msgspec.Struct, frozen=True):
    """What a NetworkPolicy means. A direction with None is not isolated by it."""

    pods: Selector
    ingress: tuple[PolicyRule, ...] | None
    egress: tuple[PolicyRule, ...] | None
    problem: str = ""

    def rules(self, direction: str) -> tuple[PolicyRule, ...] | None:
        return self.ingress if direction == INGRESS else self.egress


# -- reading a policy


def _parse(view: View, ref: ObjectRef) -> ParsedPolicy | None:
    policy = view.read(OBJECT, ref)
    if not isinstance(policy, NetworkPolicy):
        return None
    problem = policy.malformed or ""
    try:
        pods = parse_selector(policy.spec.pod_selector)
    except SelectorError as error:
        pods, problem = Selector(), problem or f"spec.podSelector: {error}"  # closed rather than open
    types = {_TYPES[name] for name in policy.spec.policy_types or () if name in _TYPES}
    unknown = [name for name in policy.spec.policy_types or () if name not in _TYPES]
    if unknown:
        problem = problem or f"spec.policyTypes: {unknown[0]!r} is neither Ingress nor Egress"
        types = {INGRESS, EGRESS}
    if not types:
        types = {INGRESS, EGRESS} if policy.spec.egress else {INGRESS}
    ingress: tuple[PolicyRule, ...] = ()
    egress: tuple[PolicyRule, ...] = ()
    try:
        if not problem:
            ingress = tuple(
                _parse_rule(rule.from_, rule.ports, ref.namespace, f"spec.ingress[{index}]", "from")
                for index, rule in enumerate(policy.spec.ingress or ())
            )
            egress = tuple(
                _parse_rule(rule.to, rule.ports, ref.namespace, f"spec.egress[{index}]", "to")
                for index, rule in enumerate(policy.spec.egress or ())
            )
    except PolicyError as error:
        problem, ingress, egress = str(error), (), ()
    return ParsedPolicy(pods, ingress if INGRESS in types else None, egress if EGRESS in types else None, problem)


def _parse_rule(
    peers: tuple[NetworkPolicyPeer, ...] | None,
    ports: tuple[NetworkPolicyPort, ...] | None,
    namespace: str,
    place: str,
    field: str,
) -> PolicyRule:
    return PolicyRule(
        tuple(_parse_peer(peer, namespace, f"{place}.{field}[{index}]") for index, peer in enumerate(peers))
        if peers
        else None,
        tuple(_parse_port(port, f"{place}.ports[{index}]") for index, port in enumerate(ports)) if ports else None,
    )


def _parse_peer(peer: NetworkPolicyPeer, namespace: str, place: str) -> Peer:
    if peer.ip_block is not None:
        if peer.pod_selector is not None or peer.namespace_selector is not None:
            raise PolicyError(f"{place}: ipBlock stands alone, without selectors")
        try:
            block = parse_prefix(peer.ip_block.cidr)
            excepts = tuple(sorted({parse_prefix(text) for text in peer.ip_block.except_ or ()}))
        except AddressError as error:
            raise PolicyError(f"{place}.ipBlock: {error}") from None
        for hole in excepts:
            if not block.covers(hole) or hole == block:
                raise PolicyError(f"{place}.ipBlock: except {hole} is not strictly within {block}")
        return BlockPeer(block, excepts)
    if peer.pod_selector is None and peer.namespace_selector is None:
        raise PolicyError(f"{place}: names nobody: podSelector, namespaceSelector or ipBlock is needed")
    try:
        pods = parse_selector(peer.pod_selector)
        if peer.namespace_selector is None:
            return PodPeer(namespace, Selector(), pods)
        return PodPeer("", parse_selector(peer.namespace_selector), pods)
    except SelectorError as error:
        raise PolicyError(f"{place}: {error}") from None


def _parse_port(port: NetworkPolicyPort, place: str) -> PolicyPort:
    name = port.protocol or "TCP"
    if name not in Protocol.__members__:
        raise PolicyError(f"{place}: protocol {name!r} is none of {', '.join(Protocol.__members__)}")
    protocol = int(Protocol[name])
    if port.port is None:
        if port.end_port is not None:
            raise PolicyError(f"{place}: endPort without port")
        return PolicyPort(protocol)
    if isinstance(port.port, str):
        if port.end_port is not None:
            raise PolicyError(f"{place}: endPort with the named port {port.port!r}")
        if not port.port:
            raise PolicyError(f"{place}: the port's name is empty")
        return PolicyPort(protocol, name=port.port)
    end = port.port if port.end_port is None else port.end_port
    if not 1 <= port.port <= 65535 or not port.port <= end <= 65535:
        raise PolicyError(f"{place}: {port.port} to {end} is not a range of ports")
    return PolicyPort(protocol, port.port, end)


PARSED_POLICY: Rule[ObjectRef, ParsedPolicy | None] = Rule("parsed policy", _parse)


def _report(view: View, ref: ObjectRef) -> Output:
    parsed = view.get(PARSED_POLICY, ref)
    if parsed is None or not parsed.problem:
        return Output(ref)
    return Output(ref, (), (Problem(ref, f"{parsed.problem}; fails closed: it allows nothing"),))


POLICY_REPORT: Rule[ObjectRef, Output] = Rule("policy report", _report)
