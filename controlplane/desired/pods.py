"""A local pod's place and policy: `port_table`, `mtu_table`, `source_pod_table`, `uplink_source_table`, `destination_pod_table`."""

from __future__ import annotations

from controlplane.addresses import AddressError, format_mac
from controlplane.attachments import PORT_ANNOTATION, PodAttachment, annotated_attachment
from controlplane.desired.engine import Rule, View
from controlplane.desired.entities import Entity, Exact, Param, entry
from controlplane.desired.facts import POD_FACTS
from controlplane.desired.inputs import ATTACHMENTS, OBJECT, POD_ATTACHMENT, SETTINGS, Output, Problem
from controlplane.desired.policy import EGRESS, INGRESS
from controlplane.desired.policy_set import POLICY_BLOCKS, POLICY_ENTRIES, POLICY_SET, Subject
from controlplane.desired.ports import PORT_CLAIMS, PORT_OWNER, mtu_entries, port_entry
from controlplane.desired.symbols import POLICY_NONE, Value
from controlplane.kube.objects import ObjectRef, Pod


def _attachment(view: View, ref: ObjectRef, pod: Pod) -> PodAttachment | None:
    """The file's word counts before the annotations'. Raises AddressError."""
    return view.read(POD_ATTACHMENT, ref) or annotated_attachment(pod.metadata.annotations)


def _derive(view: View, ref: ObjectRef) -> Output:
    pod = view.read(OBJECT, ref)
    if not isinstance(pod, Pod) or pod.spec.node_name != view.read(SETTINGS, None).node_name:
        return Output(ref)
    facts = view.get(POD_FACTS, ref)
    if facts is None:
        return Output(ref)
    problems = [Problem(ref, message) for message in facts.problems]
    try:
        attachment = _attachment(view, ref, pod)
    except AddressError as error:
        return Output(ref, (), (*problems, Problem(ref, str(error))))
    if attachment is None:
        reason = f"has no switch port: neither the attachments file nor the annotation {PORT_ANNOTATION} gives it one"
        return Output(ref, (), (*problems, Problem(ref, reason)))
    view.emit(PORT_CLAIMS, (attachment.port, ref))
    owner = view.read(PORT_OWNER, attachment.port)
    if owner is not None and owner != ref:
        return Output(ref, (), (*problems, Problem(ref, f"port {attachment.port} is {owner}'s already")))
    gateway_mac = view.read(ATTACHMENTS, None).gateway_mac
    policies: dict[str, Value] = {}
    for direction in (EGRESS, INGRESS):
        policies[direction] = POLICY_NONE
        subject = Subject(direction, ref.namespace, facts.labels, facts.named_ports if direction == INGRESS else ())
        policy_set = view.get(POLICY_SET, subject)
        if policy_set is not None:
            view.demand(POLICY_BLOCKS, policy_set)
            view.demand(POLICY_ENTRIES, policy_set)
            policies[direction] = policy_set.id
    entities: list[Entity] = [
        port_entry(attachment.port, "set_pod_port", gateway_mac),
        *mtu_entries(attachment.port, attachment.mtu),
    ]
    for address in facts.addresses:
        entities.append(
            entry(
                "source_pod_table",
                (Exact("ingress_port", attachment.port), Exact("src_addr", address)),
                "admit_source_pod",
                Param("mac", attachment.mac),
                Param("policy_id", policies[EGRESS]),
                Param("ingress_policy_id", policies[INGRESS]),
            )
        )
        entities.append(entry("uplink_source_table", (Exact("src_addr", address),), "refuse_source"))
        entities.append(
            entry(
                "destination_pod_table",
                (Exact("dst_addr", address),),
                "set_destination_pod",
                Param("port", attachment.port),
                Param("src_mac", gateway_mac),
                Param("dst_mac", attachment.mac),
                Param("policy_id", policies[INGRESS]),
                Param("egress_policy_id", policies[EGRESS]),
            )
        )
    if attachment.mac == gateway_mac:
        problems.append(Problem(ref, f"has the gateway's own MAC address {format_mac(gateway_mac)}"))
    return Output(ref, tuple(entities), tuple(problems))


POD: Rule[ObjectRef, Output] = Rule("pod", _derive)
