"""healthCheckNodePort: which Services have one, and how many endpoints that are ready they have on this node."""

from __future__ import annotations

import msgspec

from controlplane.desired.engine import Channel, Engine, Rule, View
from controlplane.desired.inputs import OBJECT, SETTINGS, SLICES, Output, Problem
from controlplane.kube.objects import ObjectRef, Service


class HealthCheck(msgspec.Struct, frozen=True, order=True):
    """What is answered on a port. A Service that has no local endpoint is not to be sent to."""

    port: int
    namespace: str
    name: str
    local_endpoints: int


HEALTH_CHECKS: Channel[HealthCheck] = Channel("health checks of Services")


def _derive(view: View, ref: ObjectRef) -> Output:
    service = view.read(OBJECT, ref)
    if not isinstance(service, Service) or not service.spec.health_check_node_port:
        return Output(ref)
    if service.spec.external_traffic_policy != "Local" or service.spec.type == "ExternalName":
        return Output(ref)
    port = service.spec.health_check_node_port
    if not 1 <= port <= 65535:
        return Output(ref, (), (Problem(ref, f"spec.healthCheckNodePort: {port} is not a port number"),))
    node = view.read(SETTINGS, None).node_name
    local = {
        endpoint.addresses[0]
        for endpoint_slice in view.read(SLICES, (ref.namespace, ref.name))
        for endpoint in endpoint_slice.endpoints or ()
        if endpoint.node_name == node
        and endpoint.addresses
        and (
            endpoint.conditions is None
            or (endpoint.conditions.ready is not False and not endpoint.conditions.terminating)
        )
    }
    view.emit(HEALTH_CHECKS, HealthCheck(port, ref.namespace, ref.name, len(local)))
    return Output(ref)


HEALTH_CHECK: Rule[ObjectRef, Output] = Rule("health check", _derive)


class HealthCheckIndex:
    """The health checks in force, by port: of several the one that sorts first."""

    def __init__(self, engine: Engine) -> None:
        self._checks: set[HealthCheck] = set()
        self.has_changed = False
        engine.connect(HEALTH_CHECKS, self)

    def add(self, item: HealthCheck) -> None:
        self._checks.add(item)
        self.has_changed = True

    def remove(self, item: HealthCheck) -> None:
        self._checks.discard(item)
        self.has_changed = True

    def take(self) -> dict[int, HealthCheck]:
        """All of them; they count as seen."""
        self.has_changed = False
        return {check.port: check for check in sorted(self._checks, reverse=True)}
