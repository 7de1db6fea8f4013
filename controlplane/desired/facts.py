"""What every concern wants to know of a pod, wherever in the cluster it runs."""

from __future__ import annotations

import msgspec

from controlplane.addresses import AddressError, parse_address
from controlplane.desired.engine import Rule, View
from controlplane.desired.inputs import OBJECT
from controlplane.desired.symbols import Protocol
from controlplane.kube.objects import ObjectRef, Pod

_FINISHED = ("Succeeded", "Failed")


class PodFacts(msgspec.Struct, frozen=True):
    """A pod that has addresses of its own. `labels` and `named_ports` are sorted."""

    addresses: tuple[int, ...]
    labels: tuple[tuple[str, str], ...]
    named_ports: tuple[tuple[str, int, int], ...]
    problems: tuple[str, ...]


def _facts(view: View, ref: ObjectRef) -> PodFacts | None:
    pod = view.read(OBJECT, ref)
    if not isinstance(pod, Pod) or pod.spec.host_network or pod.status.phase in _FINISHED:
        return None  # a hostNetwork pod is the node; a finished pod's address may be another's already
    problems = []
    addresses: dict[int, None] = {}
    texts = [item.ip for item in pod.status.pod_ips or ()] or ([pod.status.pod_ip] if pod.status.pod_ip else [])
    for text in texts:
        try:
            addresses[parse_address(text)] = None
        except AddressError as error:
            problems.append(f"status.podIPs: {error}")
    sidecars = tuple(item for item in pod.spec.init_containers or () if item.restart_policy == "Always")
    named = {
        (port.name, int(Protocol[port.protocol or "TCP"]), port.container_port)
        for container in (*sidecars, *(pod.spec.containers or ()))
        for port in container.ports or ()
        if port.name and (port.protocol or "TCP") in Protocol.__members__
    }
    labels = tuple(sorted((pod.metadata.labels or {}).items()))
    return PodFacts(tuple(addresses), labels, tuple(sorted(named)), tuple(problems))


POD_FACTS: Rule[ObjectRef, PodFacts | None] = Rule("pod facts", _facts)
