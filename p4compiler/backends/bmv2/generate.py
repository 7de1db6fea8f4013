"""The entry of the back end: a program in IR to a BMv2 document."""

from __future__ import annotations

from p4compiler.backends.bmv2 import document as doc
from p4compiler.backends.bmv2.actions import condition_value, generate_action
from p4compiler.backends.bmv2.context import Context
from p4compiler.backends.bmv2.expressions import field_value
from p4compiler.backends.bmv2.headers import generate_headers
from p4compiler.backends.bmv2.parsers import generate_deparser, generate_parser
from p4compiler.backends.bmv2.pipelines import generate_pipeline
from p4compiler.backends.bmv2.values import Field, hex_string
from p4compiler.diagnostics import Diagnostics, Kind
from p4compiler.ir import statements as st
from p4compiler.ir.data_types import BitsData, DataType, NewTypeData, SerializableEnumData, data_width
from p4compiler.ir.objects import Action, DirectCounter, DirectMeter, ExternObject, Register, Table
from p4compiler.ir.program import Control, Program
from p4compiler.ir.walk import statements_of

METER_RATES = 2


def generate_document(program: Program, diagnostics: Diagnostics, emit_externs: bool = False) -> doc.Document:
    """The document of a program that all passes have gone over.

    `emit_externs`: take over externs that v1model does not have, for a switch that has a module for them.
    What BMv2 cannot hold is told to `diagnostics`; the document is then not to be used.
    """
    context = Context(program, diagnostics, emit_externs)
    context.document.program = program.file
    generate_headers(context)
    context.declare_field_lists()
    generate_parser(context)
    for action in program.objects.actions:
        generate_action(context, action)
    generate_pipeline(context, "ingress", program.ingress)
    generate_pipeline(context, "egress", program.egress)
    generate_deparser(context)
    _generate_checksums(context, program.compute_checksum, verify=False)
    _generate_checksums(context, program.verify_checksum, verify=True)
    _generate_arrays(context)
    return context.document


def _generate_checksums(context: Context, control: Control, verify: bool) -> None:
    for statement in control.body:
        if not isinstance(statement, st.Checksum) or statement.verify is not verify:
            what = "verify_checksum" if verify else "update_checksum"
            context.unsupported(f"only calls of {what} and {what}_with_payload can stand here", statement.span)
            continue
        calculation = context.add_calculation(
            statement.algorithm, statement.inputs, {}, statement.span, statement.payload
        )
        target = field_value(statement.target, {})
        assert isinstance(target, Field)
        number = context.next_id("checksums")
        context.document.checksums.append(
            doc.Checksum(
                "cksum" if number == 0 else f"cksum_{number - 1}",
                number,
                doc.SourceInfo.of(statement.span),
                target.reference,
                "generic",
                calculation,
                verify,
                not verify,
                condition_value(statement.condition),
            )
        )


def _generate_arrays(context: Context) -> None:
    """Counters, meters and registers."""
    objects, document = context.program.objects, context.document
    for counter in objects.counters:
        number = context.next_id("counter_arrays")
        place = doc.SourceInfo.of(counter.span)
        document.counter_arrays.append(doc.CounterArray(counter.name, number, place, False, counter.size))
    for direct_counter in objects.direct_counters:
        _generate_direct_counter(context, direct_counter)
    for meter in objects.meters:
        number = context.next_id("meter_arrays")
        place = doc.SourceInfo.of(meter.span)
        document.meter_arrays.append(
            doc.MeterArray(meter.name, number, place, False, meter.size, METER_RATES, meter.unit.value)
        )
    for direct_meter in objects.direct_meters:
        _generate_direct_meter(context, direct_meter)
    for register in objects.registers:
        _generate_register(context, register)
    for extern in objects.externs:
        _generate_extern(context, extern)


def _generate_extern(context: Context, extern: ExternObject) -> None:
    if not context.emit_externs:
        context.unsupported(f"the target has no extern '{extern.type_name}'", extern.span)
    attributes = [
        doc.ExternAttribute(name, "hexstr", hex_string(value))
        if isinstance(value, int)
        else doc.ExternAttribute(name, "string", value)
        for name, value in extern.attributes
    ]
    number = context.next_id("extern_instances")
    context.document.extern_instances.append(doc.ExternInstance(extern.name, number, extern.type_name, attributes))


def _generate_direct_counter(context: Context, counter: DirectCounter) -> None:
    tables = [table for table in context.program.objects.tables if table.direct_counter is counter]
    if not tables:
        context.diagnostics.warning(Kind.UNUSED, f"no table uses the direct counter '{counter.name}'", counter.span)
        return
    if len(tables) > 1:
        context.diagnostics.error(
            Kind.INVALID,
            f"the direct counter '{counter.name}' cannot belong to both '{tables[0].name}' and '{tables[1].name}'",
            tables[1].span,
        )
    number = context.next_id("counter_arrays")
    context.document.counter_arrays.append(
        doc.CounterArray(counter.name, number, doc.SourceInfo.of(counter.span), True, binding=tables[0].name)
    )


def _generate_direct_meter(context: Context, meter: DirectMeter) -> None:
    tables = [table for table in context.program.objects.tables if table.direct_meter is meter]
    if not tables:
        if any(_reads(action, meter) for action in context.program.objects.actions):
            context.diagnostics.error(
                Kind.INVALID, f"no table has the direct meter '{meter.name}' in its 'meters' property", meter.span
            )
        else:
            context.diagnostics.warning(Kind.UNUSED, f"no table uses the direct meter '{meter.name}'", meter.span)
        return
    targets = {}
    for read in _meter_reads(tables[0], meter):
        place = field_value(read.target, {})
        if isinstance(place, Field):
            targets[(place.header, place.name)] = read
    if len(targets) > 1:
        context.unsupported(f"all reads of the direct meter '{meter.name}' must have one destination", meter.span)
    if not targets:
        context.unsupported(f"the direct meter '{meter.name}' is never read", meter.span)
        return
    document_table = next(
        table for pipeline in context.document.pipelines for table in pipeline.tables if table.name == tables[0].name
    )
    context.document.meter_arrays.append(
        doc.MeterArray(
            meter.name,
            context.next_id("meter_arrays"),
            doc.SourceInfo.of(meter.span),
            True,
            document_table.max_size,
            METER_RATES,
            meter.unit.value,
            tables[0].name,
            list(next(iter(targets))),
        )
    )


def _meter_reads(table: Table, meter: DirectMeter) -> list[st.ReadDirectMeter]:
    return [read for reference in table.actions for read in _reads(reference.action, meter)]


def _reads(action: Action, meter: DirectMeter) -> list[st.ReadDirectMeter]:
    return [
        statement
        for statement in statements_of(action.body)
        if isinstance(statement, st.ReadDirectMeter) and statement.meter is meter
    ]


def _generate_register(context: Context, register: Register) -> None:
    if not _holds_bits(register.data_type):
        context.unsupported("a register can only hold bit<> or int<> on this target", register.span)
        return
    if register.size == 0:
        context.unsupported(f"register '{register.name}' has no size", register.span)
    context.document.register_arrays.append(
        doc.RegisterArray(
            register.name,
            context.next_id("register_arrays"),
            doc.SourceInfo.of(register.span),
            register.size,
            _register_width(register.data_type),
        )
    )


def _holds_bits(data_type: DataType) -> bool:
    match data_type:
        case BitsData() | SerializableEnumData():
            return True
        case NewTypeData(underlying=underlying):
            return _holds_bits(underlying)
    return False


def _register_width(data_type: DataType) -> int:
    if isinstance(data_type, NewTypeData):
        return _register_width(data_type.underlying)
    return data_width(data_type)
