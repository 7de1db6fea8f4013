"""The entry of the back end: the control plane's view of a program in IR as a P4Info message."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from p4compiler.backends.p4info import messages as m
from p4compiler.backends.p4info.annotations import documentation, unstructured_and_structured
from p4compiler.backends.p4info.entries import generate_entries
from p4compiler.backends.p4info.restrictions import check_action, check_key, check_value_set
from p4compiler.backends.p4info.symbols import Prefix, Symbols
from p4compiler.backends.p4info.types import TypeInfoBuilder, type_name, value_bytes
from p4compiler.diagnostics import Diagnostics, Kind
from p4compiler.ir import objects as ob
from p4compiler.ir import statements as st
from p4compiler.ir.annotations import Annotation, find_annotation
from p4compiler.ir.data_types import EnumData, data_width
from p4compiler.ir.program import Program
from p4compiler.ir.walk import statements_of

ARCHITECTURE = "v1model"
_PACKAGE_STRINGS = frozenset({"name", "version", "organization", "contact", "url", "arch"})
_PROFILE_ANNOTATIONS = frozenset({"max_group_size", "selector_size_semantics", "max_member_weight"})
_EXTERN_FUNCTIONS = (
    st.Hash,
    st.Random,
    st.Digest,
    st.Clone,
    st.Resubmit,
    st.Recirculate,
    st.Truncate,
    st.MarkToDrop,
    st.LogMessage,
    st.Assert,
    st.Checksum,
    st.CallExtern,
)


class _Annotated(Protocol):
    @property
    def annotations(self) -> tuple[Annotation, ...]: ...


class GeneratedP4Info:
    """The message, and the program's table entries, which need its ids."""

    def __init__(self, program: Program, message: m.P4Info, symbols: Symbols) -> None:
        self._program = program
        self._symbols = symbols
        self.message = message

    def entries(self) -> m.WriteRequest:
        """The entries of all tables, as P4Runtime would write them."""
        return generate_entries(self._program, self._symbols)


def generate_p4info(program: Program, diagnostics: Diagnostics) -> GeneratedP4Info:
    """The P4Info of a program as it was lowered, before passes add objects of their own."""
    generator = _Generator(program, diagnostics)
    return GeneratedP4Info(program, generator.run(), generator.symbols)


def field_ids(fields: Sequence[_Annotated], diagnostics: Diagnostics) -> list[int]:
    """The ids of key fields, parameters or metadata: what `@id` says, else counted from 1 past those taken."""
    chosen: dict[int, int] = {}
    taken: set[int] = set()
    for index, field in enumerate(fields):
        annotation = find_annotation(field.annotations, "id")
        if annotation is None or not annotation.arguments:
            continue
        number = annotation.arguments[0]
        if not isinstance(number, int) or number <= 0:
            diagnostics.error(Kind.INVALID, f"{number} is not a valid @id", annotation.span)
            continue
        if number in taken:
            diagnostics.error(Kind.DUPLICATE, f"@id {number} is used several times", annotation.span)
        chosen[index] = number
        taken.add(number)
    result = []
    counter = 1
    for index in range(len(fields)):
        if index in chosen:
            result.append(chosen[index])
            counter += 1
            continue
        while counter in taken:
            counter += 1
        taken.add(counter)
        result.append(counter)
    return result


class _Generator:
    def __init__(self, program: Program, diagnostics: Diagnostics) -> None:
        self._program = program
        self._diagnostics = diagnostics
        self._types = TypeInfoBuilder()
        self.symbols = Symbols(diagnostics)
        self._actions: set[str] = set()

    def run(self) -> m.P4Info:
        self._collect_symbols()
        objects = self._program.objects
        info = m.P4Info(self._package())
        if self._calls_extern_function():
            self._types.touch()
        for action in objects.actions:
            self._action(info, action)
        for table in objects.tables:
            self._table(info, table)
        info.action_profiles = [self._profile(profile) for profile in objects.action_profiles]
        for counter in objects.counters:
            spec = m.CounterSpec(_counter_unit(counter.unit))
            info.counters.append(m.Counter(self._preamble(Prefix.COUNTER, counter), spec, counter.size))
        for meter in objects.meters:
            meter_spec = m.MeterSpec(_meter_unit(meter.unit))
            info.meters.append(m.Meter(self._preamble(Prefix.METER, meter), meter_spec, meter.size))
        for register in objects.registers:
            preamble = self._preamble(Prefix.REGISTER, register)
            info.registers.append(m.Register(preamble, self._types.spec(register.data_type), register.size))
        for digest in objects.digests:
            preamble = self._preamble(Prefix.DIGEST, digest)
            info.digests.append(m.Digest(preamble, self._types.spec(digest.data_type)))
        info.value_sets = [self._value_set(value_set) for value_set in objects.value_sets]
        for header in objects.controller_headers:
            self._controller_header(info, header)
        if any((objects.counters, objects.meters, objects.action_profiles, objects.externs)):
            self._types.touch()
        if objects.direct_counters or objects.direct_meters:
            self._types.touch()
        info.type_info = self._types.info
        self._check_duplicates(info)
        return info

    def _calls_extern_function(self) -> bool:
        program = self._program
        controls = (
            program.verify_checksum,
            program.ingress,
            program.egress,
            program.compute_checksum,
            program.deparser,
        )
        blocks = [control.body for control in controls] + [action.body for action in program.objects.actions]
        return any(isinstance(statement, _EXTERN_FUNCTIONS) for block in blocks for statement in statements_of(block))

    # -- symbols

    def _collect_symbols(self) -> None:
        objects = self._program.objects
        kinds: list[tuple[Prefix, Sequence[ob.ControlPlaneObject]]] = [
            (Prefix.ACTION, objects.actions),
            (Prefix.TABLE, objects.tables),
            (Prefix.VALUE_SET, objects.value_sets),
            (Prefix.CONTROLLER_HEADER, objects.controller_headers),
            (Prefix.ACTION_PROFILE, objects.action_profiles),
            (Prefix.COUNTER, objects.counters),
            (Prefix.DIRECT_COUNTER, objects.direct_counters),
            (Prefix.METER, objects.meters),
            (Prefix.DIRECT_METER, objects.direct_meters),
            (Prefix.REGISTER, objects.registers),
            (Prefix.DIGEST, objects.digests),
        ]
        for prefix, members in kinds:
            self.symbols.add(prefix, members)
        self.symbols.allocate()

    def _preamble(
        self, prefix: Prefix, each: ob.ControlPlaneObject, without: frozenset[str] = frozenset()
    ) -> m.Preamble:
        plain, structured = unstructured_and_structured(each.annotations, without)
        number = self.symbols.id_of(prefix, each.name)
        return m.Preamble(
            number, each.name, self.symbols.alias_of(each.name), plain, documentation(each.annotations), structured
        )

    def _check_duplicates(self, info: m.P4Info) -> None:
        """Objects of one kind must differ in name; actions that are one object to the control plane are already one here."""
        for kind, members, sources in (
            ("table", info.tables, self._program.objects.tables),
            ("counter", info.counters, self._program.objects.counters),
            ("meter", info.meters, self._program.objects.meters),
            ("register", info.registers, self._program.objects.registers),
            ("action profile", info.action_profiles, self._program.objects.action_profiles),
            ("value set", info.value_sets, self._program.objects.value_sets),
        ):
            if len({source.name for source in sources}) == len(sources):
                continue
            seen: set[str] = set()
            for source in sources:
                if source.name in seen:
                    self._diagnostics.error(
                        Kind.DUPLICATE, f"several objects of the kind {kind} are named '{source.name}'", source.span
                    )
                seen.add(source.name)
            del members

    # -- package

    def _package(self) -> m.PkgInfo:
        annotations = self._program.package_annotations
        package = m.PkgInfo(arch=ARCHITECTURE)
        for annotation in annotations:
            if annotation.name == "pkginfo":
                self._package_strings(package, annotation)
            elif annotation.name == "platform_property":
                self._platform(package, annotation)
        rest = tuple(a for a in annotations if a.name not in ("pkginfo", "platform_property"))
        package.annotations, package.structured_annotations = unstructured_and_structured(rest)
        package.doc = documentation(annotations)
        return package

    def _package_strings(self, package: m.PkgInfo, annotation: Annotation) -> None:
        for key, value in annotation.pairs:
            if key not in _PACKAGE_STRINGS:
                self._diagnostics.warning(Kind.UNKNOWN, f"unknown key '{key}' in @pkginfo", annotation.span)
            elif not isinstance(value, str):
                self._diagnostics.error(Kind.UNSUPPORTED, f"'{key}' in @pkginfo must be a string", annotation.span)
            else:
                setattr(package, key, value)

    def _platform(self, package: m.PkgInfo, annotation: Annotation) -> None:
        package.platform_properties = m.PlatformProperties()
        for key, value in annotation.pairs:
            if not hasattr(package.platform_properties, key):
                self._diagnostics.warning(Kind.UNKNOWN, f"unknown key '{key}' in @platform_property", annotation.span)
            elif not isinstance(value, int):
                message = f"'{key}' in @platform_property must be an integer"
                self._diagnostics.error(Kind.UNSUPPORTED, message, annotation.span)
            else:
                setattr(package.platform_properties, key, value)

    # -- actions

    def _action(self, info: m.P4Info, action: ob.Action) -> None:
        if action.hidden or action.name in self._actions:
            return
        self._actions.add(action.name)
        check_action(action, self._diagnostics)
        ids = field_ids(action.parameters, self._diagnostics)
        parameters = [self._parameter(p, number) for p, number in zip(action.parameters, ids, strict=True)]
        info.actions.append(m.Action(self._preamble(Prefix.ACTION, action), parameters))

    def _parameter(self, parameter: ob.ActionParameter, number: int) -> m.Param:
        plain, structured = unstructured_and_structured(parameter.annotations)
        data = parameter.data_type
        self._types.spec(data)
        named = m.NamedType(data.name) if isinstance(data, EnumData) else type_name(data)
        width = 0 if isinstance(data, EnumData) else data_width(data)
        return m.Param(number, parameter.name, plain, width, documentation(parameter.annotations), named, structured)

    # -- tables

    def _table(self, info: m.P4Info, table: ob.Table) -> None:
        if table.hidden:
            return
        self._types.touch()
        resources: list[int] = []
        message = m.Table(
            preamble=self._preamble(Prefix.TABLE, table),
            match_fields=self._match_fields(table),
            action_refs=[self._action_ref(table, reference) for reference in table.actions],
            const_default_action_id=0,
            initial_default_action=None,
            implementation_id=0,
            direct_resource_ids=resources,
            size=table.size,
            idle_timeout_behavior=m.IdleTimeoutBehavior.NOTIFY_CONTROL if table.support_timeout else None,
            is_const_table=table.entries is not None and table.entries_are_const,
            has_initial_entries=bool(table.entries),
        )
        if table.default is not None:
            message.initial_default_action = self._default(table.default)
            if table.default_is_const:
                message.const_default_action_id = message.initial_default_action.action_id
        if table.profile is not None:
            message.implementation_id = self.symbols.id_of(Prefix.ACTION_PROFILE, table.profile.name)
        table_id = message.preamble.id
        if table.direct_counter is not None:
            counter = self._preamble(Prefix.DIRECT_COUNTER, table.direct_counter)
            spec = m.CounterSpec(_counter_unit(table.direct_counter.unit))
            resources.append(counter.id)
            info.direct_counters.append(m.DirectCounter(counter, spec, table_id))
        if table.direct_meter is not None:
            meter = self._preamble(Prefix.DIRECT_METER, table.direct_meter)
            resources.append(meter.id)
            info.direct_meters.append(m.DirectMeter(meter, m.MeterSpec(_meter_unit(table.direct_meter.unit)), table_id))
        info.tables.append(message)

    def _match_fields(self, table: ob.Table) -> list[m.MatchField]:
        result = []
        for key, number in zip(table.keys, field_ids(table.keys, self._diagnostics), strict=True):
            if key.match_kind is ob.MatchKind.SELECTOR:
                continue
            check_key(key, table, self._diagnostics)
            plain, structured = unstructured_and_structured(key.annotations)
            self._types.spec(key.data_type)
            result.append(
                m.MatchField(
                    number,
                    key.name,
                    plain,
                    data_width(key.data_type),
                    m.MatchType[key.match_kind.name],
                    documentation(key.annotations),
                    type_name(key.data_type),
                    structured,
                )
            )
        return result

    def _action_ref(self, table: ob.Table, reference: ob.ActionReference) -> m.ActionRef:
        plain, structured = unstructured_and_structured(reference.annotations)
        names = {annotation.name for annotation in reference.annotations}
        if {"tableonly", "defaultonly"} <= names:
            self._diagnostics.error(
                Kind.INVALID,
                f"'{reference.action.name}' in table '{table.name}' is both @tableonly and @defaultonly",
                reference.annotations[0].span,
            )
        scope = None
        if "tableonly" in names:
            scope = m.Scope.TABLE_ONLY
        elif "defaultonly" in names:
            scope = m.Scope.DEFAULT_ONLY
        return m.ActionRef(self.symbols.id_of(Prefix.ACTION, reference.action.name), plain, scope, structured)

    def _default(self, call: ob.ActionCall) -> m.TableActionCall:
        ids = field_ids(call.action.parameters, self._diagnostics)
        arguments = []
        for parameter, number, value in zip(call.action.parameters, ids, call.arguments, strict=True):
            size = (data_width(parameter.data_type) + 7) // 8
            arguments.append(m.ActionArgument(number, value_bytes(value, size)))
        return m.TableActionCall(self.symbols.id_of(Prefix.ACTION, call.action.name), arguments)

    # -- profiles

    def _profile(self, profile: ob.ActionProfile) -> m.ActionProfile:
        with_selector = profile.algorithm is not None
        names = {table.name for table in self._program.objects.tables if table.profile is profile}
        message = m.ActionProfile(
            preamble=self._preamble(Prefix.ACTION_PROFILE, profile, _PROFILE_ANNOTATIONS),
            table_ids=[self.symbols.id_of(Prefix.TABLE, name) for name in sorted(names)],
            with_selector=with_selector,
            size=profile.size,
            max_group_size=0,
            sum_of_weights=None,
            sum_of_members=None,
        )
        present = [a for a in profile.annotations if a.name in _PROFILE_ANNOTATIONS]
        # A weight means something only once the semantics are known, wherever the two stand.
        for annotation in sorted(present, key=lambda a: a.name == "max_member_weight"):
            if with_selector:
                self._selector_annotation(message, annotation)
            else:
                self._diagnostics.warning(
                    Kind.IGNORE, f"@{annotation.name} means nothing without a selector", annotation.span
                )
        return message

    def _selector_annotation(self, message: m.ActionProfile, annotation: Annotation) -> None:
        value = annotation.arguments[0] if annotation.arguments else None
        if annotation.name == "max_group_size" and isinstance(value, int):
            message.max_group_size = value
        elif annotation.name == "selector_size_semantics" and isinstance(value, str):
            match value.lower():
                case "sum_of_weights":
                    message.sum_of_weights = m.Nothing()
                case "sum_of_members":
                    message.sum_of_members = m.SumOfMembers()
                case _:
                    self._diagnostics.error(
                        Kind.INVALID, f"expected 'sum_of_weights' or 'sum_of_members', not '{value}'", annotation.span
                    )
        elif annotation.name == "max_member_weight" and isinstance(value, int):
            if message.sum_of_members is None:
                self._diagnostics.warning(
                    Kind.IGNORE, "@max_member_weight means nothing without 'sum_of_members'", annotation.span
                )
            else:
                message.sum_of_members.max_member_weight = value

    # -- other objects

    def _value_set(self, value_set: ob.ValueSet) -> m.ValueSet:
        check_value_set(value_set, self._diagnostics)
        ids = field_ids(value_set.fields, self._diagnostics)
        fields = []
        for field, number in zip(value_set.fields, ids, strict=True):
            plain, structured = unstructured_and_structured(field.annotations)
            kind = m.MatchType[field.match_kind.name]
            fields.append(
                m.MatchField(
                    number, field.name, plain, field.width, kind, documentation(field.annotations), None, structured
                )
            )
        return m.ValueSet(self._preamble(Prefix.VALUE_SET, value_set), fields, value_set.size)

    def _controller_header(self, info: m.P4Info, header: ob.ControllerHeader) -> None:
        """The control plane knows it by the name in its annotation."""
        if header.hidden:
            return
        preamble = self._preamble(Prefix.CONTROLLER_HEADER, header)
        preamble.name = preamble.alias = header.controller_name
        fields = []
        for field, number in zip(header.fields, field_ids(header.fields, self._diagnostics), strict=True):
            if field.hidden:
                continue
            plain, structured = unstructured_and_structured(field.annotations)
            self._types.spec(field.data_type)
            width = data_width(field.data_type)
            fields.append(m.Metadata(number, field.name, plain, width, type_name(field.data_type), structured))
        info.controller_packet_metadata.append(m.ControllerPacketMetadata(preamble, fields))


def _counter_unit(unit: ob.CounterUnit) -> m.CounterUnit:
    return m.CounterUnit[unit.name]


def _meter_unit(unit: ob.MeterUnit) -> m.MeterUnit:
    return m.MeterUnit[unit.name]
