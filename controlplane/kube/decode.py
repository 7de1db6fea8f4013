"""JSON values of the API to typed objects, with errors that name kind/namespace/name and the field."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from controlplane.kube.objects import (
    RESOURCES,
    ClusterNetworkPolicy,
    ClusterNetworkPolicySpec,
    KubeObject,
    NetworkPolicy,
    NetworkPolicySpec,
    ObjectMeta,
    ObjectRef,
    Resource,
)

OWN_ANNOTATIONS = "kulvert.dev/"

T = TypeVar("T")


class DecodeError(ValueError):
    """An object that cannot be read. `ref` is as much as is known of which one; `str()` names it and the field."""

    def __init__(self, ref: ObjectRef, reason: str) -> None:
        super().__init__(f"{ref}: {reason}")
        self.ref = ref
        self.reason = reason


def identify(value: Any) -> ObjectRef:
    """Kind, namespace and name of a decoded JSON object, "?" where it has none; a missing namespace is `default`."""
    if not isinstance(value, dict):
        return ObjectRef("?", "", "?")
    kind = value.get("kind")
    kind = kind if isinstance(kind, str) and kind else "?"
    metadata = value.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    name = metadata.get("name")
    namespace = metadata.get("namespace")
    resource = RESOURCES.get(kind)
    if resource is not None and not resource.namespaced:
        namespace = ""
    elif not isinstance(namespace, str) or not namespace:
        namespace = "default"
    return ObjectRef(kind, namespace, name if isinstance(name, str) and name else "?")


def decode(value: Any, resource: Resource) -> KubeObject:
    """The typed object in `value`, a JSON object as Python values.

    Raises:
        DecodeError
    """
    ref = identify({**value, "kind": resource.kind} if isinstance(value, dict) else value)
    if not isinstance(value, dict):
        raise DecodeError(ref, "is not an object")
    if ref.name == "?":
        raise DecodeError(ref, "has no metadata.name")
    metadata = _convert(value.get("metadata"), ObjectMeta, ref, "$.metadata")
    metadata = _slim(metadata, ref.namespace)
    if resource.type is NetworkPolicy:
        return _decode_policy(value, metadata)
    if resource.type is ClusterNetworkPolicy:
        return _decode_cluster_policy(value, metadata)
    rest = {key: field for key, field in value.items() if key != "metadata"}
    rest["metadata"] = {"name": ref.name}
    obj: KubeObject = _convert(rest, resource.type, ref, "$")
    return msgspec.structs.replace(obj, metadata=metadata)


def _decode_policy(value: dict[str, Any], metadata: ObjectMeta) -> NetworkPolicy:
    """A policy that cannot be read whole still isolates what it selects; what it selects is read separately."""
    spec_value = value.get("spec", {})
    try:
        return NetworkPolicy(metadata, msgspec.convert(spec_value, NetworkPolicySpec, strict=True))
    except msgspec.ValidationError as error:
        reason = f"spec: {error}"
    spec_value = spec_value if isinstance(spec_value, dict) else {}
    readable: dict[str, Any] = {}
    # An unreadable podSelector is left out, which selects the whole namespace: closed rather than open.
    for field in ("podSelector", "policyTypes"):
        try:
            msgspec.convert({field: spec_value.get(field)}, NetworkPolicySpec)
        except msgspec.ValidationError:
            continue
        readable[field] = spec_value.get(field)
    if "policyTypes" not in readable or spec_value.get("egress"):  # the API's own default, as far as it can be told
        readable["policyTypes"] = readable.get("policyTypes") or ["Ingress", "Egress"]
    return NetworkPolicy(metadata, msgspec.convert(readable, NetworkPolicySpec), malformed=reason)


def _decode_cluster_policy(value: dict[str, Any], metadata: ObjectMeta) -> ClusterNetworkPolicy:
    """One that cannot be read whole is kept with what it selects and where it stands, as far as those can be read."""
    spec_value = value.get("spec", {})
    try:
        return ClusterNetworkPolicy(metadata, msgspec.convert(spec_value, ClusterNetworkPolicySpec, strict=True))
    except msgspec.ValidationError as error:
        reason = f"spec: {error}"
    spec_value = spec_value if isinstance(spec_value, dict) else {}
    readable: dict[str, Any] = {}
    for field in ("tier", "priority", "subject"):
        try:
            msgspec.convert({field: spec_value[field]}, ClusterNetworkPolicySpec, strict=True)
        except (msgspec.ValidationError, KeyError):
            continue
        readable[field] = spec_value[field]
    return ClusterNetworkPolicy(metadata, msgspec.convert(readable, ClusterNetworkPolicySpec), malformed=reason)


def _convert(value: Any, wanted: type[T], ref: ObjectRef, root: str) -> T:
    try:
        return msgspec.convert(value, wanted, strict=True)
    except msgspec.ValidationError as error:
        raise DecodeError(ref, str(error).replace("`$", f"`{root}", 1)) from None


def _slim(metadata: ObjectMeta, namespace: str) -> ObjectMeta:
    """Only what is needed of the metadata: of the annotations, Kulvert's own, and they are seldom there."""
    annotations = {key: text for key, text in (metadata.annotations or {}).items() if key.startswith(OWN_ANNOTATIONS)}
    return ObjectMeta(metadata.name, namespace, metadata.labels or None, annotations or None)
