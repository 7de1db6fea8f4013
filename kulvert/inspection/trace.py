"""`kulvert trace`: one packet through the program and the entries that the switch has at this moment.

The program is the BMv2 JSON that the switch gives back, the entries are read from it as the packet comes to their tables, and
the controller is asked only whose the entries are. Nothing is sent through the switch itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import msgspec

from controlplane.addresses import AddressError, format_address, format_mac, is_ipv4, parse_address
from controlplane.kube.objects import ObjectRef
from controlplane.p4rt.codec import PipelineMismatchError
from kulvert.failures import UserError
from kulvert.inspection.controller import Controller
from kulvert.inspection.interpreter import Hit, Interpreter, InterpreterError, Run, Step
from kulvert.inspection.packets import first_packet
from kulvert.inspection.switch import Switch
from kulvert.resources import ResourceError, resource_dir
from p4base import bytestring
from p4base.messages import p4i, p4r
from p4switch.bmv2 import model
from p4switch.bmv2.errors import JsonError
from p4switch.bmv2.loader import load

_ADDRESS_FIELD = re.compile(r"(addr|address|target)$")
_REASON = re.compile(r"^\s*(\w+)\s*=\s*(\d+)\s*,?\s*(?://\s*(.*))?$", re.MULTILINE)


class Place(NamedTuple):
    """One end of the connection: the object that was named, or ""; its addresses; a port, 0 for none; its protocol or ""."""

    object: str
    addresses: tuple[int, ...]
    port: int = 0
    protocol: str = ""


class TracedEntry(msgspec.Struct, frozen=True):
    """An entry that matched: in names, whose it is ("" if nobody knows), and, of a pod's, the policies in force for the pod."""

    text: str
    object: str
    policies: tuple[str, ...] = ()


class TracedStep(msgspec.Struct, frozen=True):
    """One table. `stage` is the source file's name; `entry` is None for a miss; `note` says what a number cannot."""

    stage: str
    table: str
    key: dict[str, str]
    entry: TracedEntry | None
    action: str
    params: dict[str, str]
    note: str = ""
    decides: bool = False


class Trace(msgspec.Struct, frozen=True):
    """What becomes of the packet.

    Attributes:
        verdict: `forwarded`, `refused` (the sender is told) or `dropped`.
        decided_by: the table, or the place in the source.
        reason: of a drop, the name in the pipeline's source; "" if it is forwarded.
    """

    source: str
    destination: str
    protocol: str
    ingress_port: int
    steps: tuple[TracedStep, ...]
    verdict: str
    egress_port: int | None
    decided_by: str
    reason: str
    explanation: str


# -- who talks to whom


def find_place(text: str, controller: Controller | None, takes_only_port: bool = True) -> Place:
    """What `pod/NS/NAME`, `svc/NS/NAME:PORT`, `node/NAME` or `ADDRESS:PORT` means.

    Without a port it is the object's own, if it has only one and `takes_only_port`.

    Raises:
        UserError
    """
    kinds = {"pod": "Pod", "po": "Pod", "svc": "Service", "service": "Service", "node": "Node", "no": "Node"}
    head, slash, rest = text.partition("/")
    if not slash or head.lower() not in kinds:
        return _literal_place(text)
    kind = kinds[head.lower()]
    rest, colon, port_text = rest.partition(":")
    parts = rest.split("/")
    if kind == "Node" and len(parts) == 1:
        ref = ObjectRef(kind, "", parts[0])
    elif len(parts) in (1, 2) and all(parts):
        ref = ObjectRef(kind, parts[0] if len(parts) == 2 else "default", parts[-1])
    else:
        raise UserError(f"{text!r} is not {head}/NAMESPACE/NAME")
    if controller is None:
        raise UserError(f"only a running controller knows where {ref} is (--control-socket); or give an address")
    found = controller.resolve(ref)
    addresses = tuple(parse_address(item) for item in found.addresses)
    if not addresses:
        raise UserError(f"{ref} has no address")
    if not colon:
        first = found.ports[0] if takes_only_port and len(found.ports) == 1 else None
        return Place(str(ref), addresses, first.port if first else 0, first.protocol.lower() if first else "")
    named = [port for port in found.ports if port_text in (port.name, str(port.port))]
    if named:
        return Place(str(ref), addresses, named[0].port, named[0].protocol.lower())
    return Place(str(ref), addresses, _port_number(port_text, text))


def _literal_place(text: str) -> Place:
    host, port = text, 0
    bracketed = re.fullmatch(r"\[(.+)\](?::(\w+))?", text)
    if bracketed:
        host, port = bracketed.group(1), _port_number(bracketed.group(2), text) if bracketed.group(2) else 0
    elif text.count(":") == 1:
        host, _, port_text = text.partition(":")
        port = _port_number(port_text, text)
    try:
        return Place("", (parse_address(host),), port)
    except AddressError:
        raise UserError(f"{text!r} is none of pod/NS/NAME, svc/NS/NAME:PORT, node/NAME, ADDRESS:PORT") from None


def _port_number(port: str, text: str) -> int:
    if not (port.isascii() and port.isdigit()) or not 0 < int(port) < 65536:
        raise UserError(f"{text!r}: {port!r} is neither one of its ports nor a port number")
    return int(port)


# -- the switch's entries, for the interpreter


@dataclass(slots=True)
class _Found:
    """An entry that matched, and, of a group, who was chosen of how many."""

    message: p4r.Entity
    note: str = ""


@dataclass(slots=True)
class SwitchEntries:
    """Looks entries up in the switch: by their key where it is exact, in the whole table otherwise."""

    switch: Switch
    program: model.Program
    _tables: dict[str, list[p4r.TableEntry]] = field(default_factory=dict)

    def look_up(self, table: model.Table, key: Sequence[int], select: Callable[[int], int]) -> Hit | None:
        """The entry that wins. Raises UserError."""
        info = self.switch.index.tables.get(table.name)
        if info is None:
            return None  # made by the compiler: constant entries only
        fields = {item.id: item for item in info.match_fields}
        values = {
            item.name or str(number): value for number, (item, value) in enumerate(zip(table.key, key, strict=True))
        }
        exact = all(item.match_type == p4i.MatchField.EXACT for item in fields.values())
        candidates = self._exact(info, values) if exact else self._matching(info, values)
        if not candidates:
            return None
        return self._hit(table, info, candidates[0], select)

    def default_action(self, table: model.Table) -> tuple[int, tuple[int, ...]] | None:
        """The default action, where it can be another than the program's. Raises UserError."""
        info = self.switch.index.tables.get(table.name)
        if info is None or table.default_const:
            return None
        wanted = p4r.Entity()
        wanted.table_entry.table_id = info.preamble.id
        wanted.table_entry.is_default_action = True
        for entity in self.switch.read(wanted):
            if entity.table_entry.action.action.action_id:
                hit = self._call(table, entity.table_entry.action.action, _Found(entity))
                return hit.action_id, hit.args
        return None

    def _exact(self, info: p4i.Table, values: dict[str, int]) -> list[p4r.TableEntry]:
        wanted = p4r.Entity()
        wanted.table_entry.table_id = info.preamble.id
        for item in info.match_fields:
            wanted.table_entry.match.add(field_id=item.id).exact.value = bytestring.encode(values[item.name])
        return [entity.table_entry for entity in self.switch.read(wanted)]

    def _matching(self, info: p4i.Table, values: dict[str, int]) -> list[p4r.TableEntry]:
        name = info.preamble.name
        if name not in self._tables:
            self._tables[name] = self.switch.table_entries(name)
        widths = {item.id: (item.name, item.bitwidth) for item in info.match_fields}
        found = [entry for entry in self._tables[name] if all(_matches(item, widths, values) for item in entry.match)]
        return sorted(found, key=lambda entry: (entry.priority, _prefix_length(entry)), reverse=True)

    def _hit(self, table: model.Table, info: p4i.Table, entry: p4r.TableEntry, select: Callable[[int], int]) -> Hit:
        entity = p4r.Entity(table_entry=entry)
        kind = entry.action.WhichOneof("type")
        if kind == "action":
            return self._call(table, entry.action.action, _Found(entity))
        profile_id = info.implementation_id
        if kind == "action_profile_member_id":
            member = self._member(profile_id, entry.action.action_profile_member_id)
            return self._call(table, member, _Found(entity))
        wanted = p4r.Entity()
        wanted.action_profile_group.action_profile_id = profile_id
        wanted.action_profile_group.group_id = entry.action.action_profile_group_id
        groups = self.switch.read(wanted)
        slots = [
            member.member_id
            for group in groups
            for member in sorted(group.action_profile_group.members, key=lambda item: item.member_id)
            for _ in range(member.weight)
        ]
        if not slots:
            raise UserError(f"{info.preamble.alias}: its group has no members")
        chosen = select(len(slots))
        note = f"member {chosen + 1} of {len(slots)}, by the hash of this very connection"
        return self._call(table, self._member(profile_id, slots[chosen]), _Found(entity, note))

    def _member(self, profile_id: int, member_id: int) -> p4r.Action:
        wanted = p4r.Entity()
        wanted.action_profile_member.action_profile_id = profile_id
        wanted.action_profile_member.member_id = member_id
        found = self.switch.read(wanted)
        if not found:
            raise UserError(f"the switch refers to a member {member_id} that it does not have")
        return found[0].action_profile_member.action

    def _call(self, table: model.Table, call: p4r.Action, found: _Found) -> Hit:
        info = self.switch.index.actions[call.action_id]
        values = {param.param_id: int.from_bytes(param.value, "big") for param in call.params}
        by_name = {param.name: values.get(param.id, 0) for param in info.params}
        for action_id in table.actions:
            action = self.program.actions[action_id]
            if action.name == info.preamble.name:
                return Hit(action_id, tuple(by_name.get(param.name, 0) for param in action.params), found)
        raise UserError(f"{table.name}: the switch's program has no action {info.preamble.name}")


def _matches(match: p4r.FieldMatch, widths: dict[int, tuple[str, int]], values: dict[str, int]) -> bool:
    name, width = widths[match.field_id]
    value = values[name]

    def number(data: bytes) -> int:
        return int.from_bytes(data, "big")

    match match.WhichOneof("field_match_type"):
        case "exact":
            return value == number(match.exact.value)
        case "lpm":
            return (value ^ number(match.lpm.value)) >> (width - match.lpm.prefix_len) == 0
        case "ternary":
            return (value ^ number(match.ternary.value)) & number(match.ternary.mask) == 0
        case "range":
            return number(match.range.low) <= value <= number(match.range.high)
        case "optional":
            return value == number(match.optional.value)
    return False


def _prefix_length(entry: p4r.TableEntry) -> int:
    return sum(match.lpm.prefix_len for match in entry.match if match.HasField("lpm"))


# -- the trace


@dataclass(frozen=True, slots=True)
class Question:
    """Who asks whom, how, and where the packet comes in (None: where the switch has the source)."""

    source: Place
    destination: Place
    protocol: str
    source_port: int
    ingress_port: int | None


def trace(switch: Switch, controller: Controller | None, question: Question) -> list[Trace]:
    """One trace for each address family that both ends have.

    Raises:
        UserError
    """
    try:
        program = load(switch.config.p4_device_config)
    except JsonError as error:
        raise UserError(f"the switch's device config is no BMv2 JSON, and only that can be followed: {error}") from None
    pairs = [
        (source, destination)
        for is_v4 in (True, False)
        for source in question.source.addresses[:]
        for destination in question.destination.addresses
        if is_ipv4(source) == is_v4 == is_ipv4(destination)
    ]
    chosen = {is_ipv4(source): (source, destination) for source, destination in reversed(pairs)}
    if not chosen:
        raise UserError("the two have no address family in common")
    return [
        _trace_one(switch, controller, program, question, *chosen[is_v4]) for is_v4 in (True, False) if is_v4 in chosen
    ]


def _trace_one(
    switch: Switch, controller: Controller | None, program: model.Program, question: Question, source: int, target: int
) -> Trace:
    port, mac = _entrance(switch, question.ingress_port, source)
    gateway = _gateway_mac(switch, port)
    packet = first_packet(
        (mac, gateway), (source, target), question.protocol, (question.source_port, question.destination.port)
    )
    try:
        run = Interpreter(program, SwitchEntries(switch, program), watch="drop_reason").run(packet, port)
    except InterpreterError as error:
        raise UserError(str(error)) from None
    entities = [
        step.hit.entry.message for step in run.steps if step.hit is not None and isinstance(step.hit.entry, _Found)
    ]
    named = iter(_explain(switch, controller, entities))
    return _report(question, (source, target), port, run, [_show(step, run, named) for step in run.steps])


def _entrance(switch: Switch, given: int | None, source: int) -> tuple[int, int]:
    """The port that the source's packets come in on, and the MAC they have."""
    if switch.index.tables.get("source_pod_table") is not None:
        for entry in switch.table_entries("source_pod_table"):
            values = _values(switch, entry)
            if values.get("src_addr") == source and given in (None, values.get("ingress_port")):
                return values["ingress_port"], values.get("mac", 0)
    if given is not None:
        return given, 0x020000000001
    raise UserError(
        f"{format_address(source)} is no pod of this node: say with --port where its packets come in, the node's or an uplink's"
    )


def _gateway_mac(switch: Switch, port: int) -> int:
    for entry in switch.table_entries("port_table"):
        values = _values(switch, entry)
        if values.get("ingress_port") == port:
            return values.get("mac", 0)
    raise UserError(f"the switch knows no port {port} (port_table)")


def _values(switch: Switch, entry: p4r.TableEntry) -> dict[str, int]:
    """Exact fields and action parameters by name."""
    table, action = switch.index.tables[entry.table_id], entry.action.action
    fields = {item.id: item.name for item in table.match_fields}
    found = {fields[item.field_id]: int.from_bytes(item.exact.value, "big") for item in entry.match}
    if action.action_id:
        params = {item.id: item.name for item in switch.index.actions[action.action_id].params}
        found |= {params[item.param_id]: int.from_bytes(item.value, "big") for item in action.params}
    return found


def _explain(switch: Switch, controller: Controller | None, entities: list[p4r.Entity]) -> list[TracedEntry]:
    wires = [switch.codec.canonical(entity) for entity in entities]
    if controller is not None:
        found = controller.explain([wire.body for wire in wires if wire is not None])
        return [TracedEntry(item.text, item.object, item.policies) for item in found]
    from controlplane.desired.entities import describe

    texts = []
    for entity in entities:
        try:
            texts.append(describe(switch.codec.decode(entity)))
        except PipelineMismatchError as error:
            texts.append(str(error))
    return [TracedEntry(text, "") for text in texts]


def _show(step: Step, run: Run, named: Iterator[TracedEntry]) -> TracedStep:
    is_entry = step.hit is not None and isinstance(step.hit.entry, _Found)
    decision = run.decided_by
    return TracedStep(
        stage=Path(step.source.filename).stem if step.source is not None else "",
        table=step.table.rpartition(".")[2],
        key={name: show_value(name, value) for name, value in step.key},
        entry=next(named) if is_entry else None,
        action=step.action.rpartition(".")[2],
        params={name: show_value(name, value) for name, value in step.args},
        note=step.hit.entry.note if is_entry and step.hit is not None else "",
        decides=decision is not None and decision.table == step.table,
    )


def show_value(name: str, value: int) -> str:
    """A field's value as people write it, by what its name says."""
    if _ADDRESS_FIELD.search(name):
        return format_address(value)
    return format_mac(value) if name.endswith("mac") else str(value)


def _report(question: Question, addresses: tuple[int, int], port: int, run: Run, steps: list[TracedStep]) -> Trace:
    decision = run.decided_by
    verdict = "forwarded" if decision is None and run.egress_port is not None else "dropped"
    if decision is not None and run.egress_port == port:
        verdict = "refused"
    reason, explanation = _reason(decision.value) if decision is not None else ("", "")
    decided_by = ""
    if decision is not None:
        place = f"{Path(decision.source.filename).name}:{decision.source.line}" if decision.source else "the program"
        decided_by = decision.table.rpartition(".")[2] if decision.table else place
    elif steps:
        decided_by = steps[-1].table
    return Trace(
        source=_show_end(question.source.object, addresses[0], question.source_port),
        destination=_show_end(question.destination.object, addresses[1], question.destination.port),
        protocol=question.protocol,
        ingress_port=port,
        steps=tuple(steps),
        verdict=verdict,
        egress_port=None if verdict == "dropped" else run.egress_port,
        decided_by=decided_by,
        reason=reason,
        explanation=explanation,
    )


def _show_end(name: str, address: int, port: int) -> str:
    text = format_address(address)
    shown = (f"{text}:{port}" if is_ipv4(address) else f"[{text}]:{port}") if port else text
    return f"{name} ({shown})" if name else shown


def _reason(number: int) -> tuple[str, str]:
    """The name of a drop reason and what the source says of it."""
    try:
        text = (resource_dir("p4src") / "drop_reasons.p4").read_text(encoding="utf-8")
    except (OSError, ResourceError):
        return str(number), ""
    for name, value, comment in _REASON.findall(text):
        if int(value) == number:
            return name, comment
    return str(number), ""
