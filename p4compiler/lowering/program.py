"""The entry of the lowering: elaborates a checked v1model program from its `main`."""

from __future__ import annotations

from p4compiler.diagnostics import Diagnostics, Kind
from p4compiler.ir import expressions as ex
from p4compiler.ir.program import Control, EnumValues, Parser, Program
from p4compiler.ir.storage import Header, HeaderField, HeaderLayout
from p4compiler.lowering import values as v
from p4compiler.lowering.annotations import external_name, get_annotation, lower_annotations, string_argument
from p4compiler.lowering.collect import collect_objects
from p4compiler.lowering.emitter import BlockEmitter, StateEmitter
from p4compiler.lowering.errors import Abandoned
from p4compiler.lowering.instances import ControlInstance, ParserInstance
from p4compiler.lowering.parsers import BodyLowering
from p4compiler.lowering.scope import Scope
from p4compiler.lowering.session import Session
from p4compiler.source import Span
from p4compiler.syntax import ast
from p4compiler.types import model
from p4compiler.types.checked import CheckedProgram

PACKAGE = "V1Switch"
CONTROLS = ("verify checksum", "ingress", "egress", "compute checksum", "deparser")
"""The package's controls, in order."""

SHAPES = ((ParserInstance, 4), *((ControlInstance, count) for count in (2, 3, 3, 2, 2)))
"""What the package takes: a parser and the controls, each with so many parameters."""

USER_METADATA = "userMetadata"
STANDARD_METADATA = "standard_metadata"


def lower_program(checked: CheckedProgram, file: str, diagnostics: Diagnostics) -> Program | None:
    """The program in IR; None if it has no `main` for v1model, which is reported.

    Args:
        checked: without errors.
        file: the path of the source, as the user gave it.
    """
    main = checked.main
    if main is None:
        diagnostics.error(Kind.MISSING, "the program has no 'main' package", None)
        return None
    type_ = checked.resolved_type_of[main]
    if not isinstance(type_, model.ObjectType) or type_.name != PACKAGE:
        diagnostics.error(
            Kind.UNSUPPORTED_ON_TARGET, f"the package of this architecture is {PACKAGE}, not '{type_}'", main.span
        )
        return None
    try:
        return _Elaboration(Session(checked, diagnostics), main).run(file)
    except Abandoned:
        return None


class _Elaboration:
    def __init__(self, session: Session, main: ast.Instantiation) -> None:
        self._session = session
        self._main = main
        self._body = BodyLowering(session, Scope("global"), BlockEmitter(session.storage))

    def run(self, file: str) -> Program:
        session, checked = self._session, self._session.checked
        self._construct_globals()
        instances = self._blocks()
        parser_instance = instances[0]
        assert isinstance(parser_instance, ParserInstance)
        headers, metadata, standard = self._places(parser_instance)
        packet = v.PacketValue()
        session.block = "parser"
        parser = self._parser(parser_instance, [packet, headers, metadata, standard])
        arguments = [
            [headers, metadata],
            [headers, metadata, standard],
            [headers, metadata, standard],
            [headers, metadata],
            [packet, headers],
        ]
        controls = []
        for block, instance, values in zip(CONTROLS, instances[1:], arguments, strict=True):
            assert isinstance(instance, ControlInstance)
            session.block = block
            controls.append(self._control(instance, values))
        verify, ingress, egress, compute, deparser = controls
        return Program(
            file=file,
            package_annotations=lower_annotations(self._main.annotations),
            parser=parser,
            verify_checksum=verify,
            ingress=ingress,
            egress=egress,
            compute_checksum=compute,
            deparser=deparser,
            storage=session.storage.finish(),
            objects=collect_objects(session, instances),
            errors=tuple(checked.errors),
            enums=tuple(self._enums()),
        )

    def _construct_globals(self) -> None:
        """Extern objects of the top level belong to the control plane even if nothing uses them."""
        for declaration in self._session.checked.program.declarations:
            if isinstance(declaration, ast.Instantiation) and declaration is not self._main:
                type_ = self._session.checked.resolved_type_of[declaration]
                if isinstance(type_, model.ObjectType) and isinstance(type_.declaration, ast.ExternDeclaration):
                    self._body.global_value(declaration)

    def _blocks(self) -> list[ParserInstance | ControlInstance]:
        """The package's arguments. The control plane's names start with the name of a block's type."""
        call = self._session.checked.call_of[self._main]
        result: list[ParserInstance | ControlInstance] = []
        for argument in call.arguments[:6]:
            assert argument is not None
            value = self._body.value(argument)
            instance = value.instance if isinstance(value, v.InstanceValue) else None
            if not isinstance(instance, ParserInstance | ControlInstance):
                raise self._session.refused("a parser or control is needed here", argument.span, Kind.TYPE_ERROR)
            instance.name = instance.declaration.name.text
            instance.scope.name = instance.name
            result.append(instance)
        shapes = tuple((type(instance), len(instance.declaration.parameters)) for instance in result)
        if shapes != SHAPES:  # the program brings a package of its own by that name
            what = f"'{PACKAGE}' is not the package of this architecture: include v1model.p4"
            raise self._session.refused(what, self._main.span, Kind.UNSUPPORTED_ON_TARGET)
        return result

    # -- storage

    def _places(self, parser: ParserInstance) -> tuple[v.Value, v.Value, v.Value]:
        """What every block works on: the headers, the user's metadata, the standard metadata."""
        parameters = parser.declaration.parameters
        types = [self._parameter_type(parser, parameter) for parameter in parameters]
        return (
            self._headers(types[1], parameters[1].span),
            self._session.storage.make(types[2], USER_METADATA, parameters[2].span),
            self._standard_metadata(types[3], parameters[3].span),
        )

    def _parameter_type(self, instance: ParserInstance, parameter: ast.Parameter) -> model.Type:
        type_ = self._session.checked.resolved_type_of[parameter]
        return self._session.types.resolve(model.substitute(type_, instance.scope.types))

    def _headers(self, type_: model.Type, span: Span) -> v.Value:
        """The headers' names in the target are those of the structure's fields."""
        if not isinstance(type_, model.StructType):
            message = "the headers must be a structure on this target"
            self._session.diagnostics.error(Kind.UNSUPPORTED_ON_TARGET, message, span)
            return self._session.storage.make(type_, "hdr", span)
        fields: dict[str, v.Value] = {}
        for field in self._session.types.fields(type_):
            name = external_name(field.declaration).removeprefix(".") if field.declaration else field.name
            place = field.declaration.span if field.declaration else span
            if self._session.types.scalar(field.type) is not None:
                message = "the headers must be a structure of headers, stacks and unions on this target"
                self._session.diagnostics.error(Kind.UNSUPPORTED_ON_TARGET, message, place)
            fields[field.name] = self._session.storage.make(field.type, name, place)
        return v.Structure(type_, fields)

    def _standard_metadata(self, type_: model.Type, span: Span) -> v.Value:
        if not isinstance(type_, model.StructType):
            raise self._session.refused("the standard metadata must be a structure", span, Kind.UNSUPPORTED_ON_TARGET)
        fields = []
        for field in self._session.types.fields(type_):
            scalar = self._session.types.scalar(field.type)
            assert scalar is not None and field.declaration is not None
            alias = get_annotation(field.declaration, "alias")
            fields.append(HeaderField(field.name, scalar, string_argument(alias) if alias is not None else None))
        layout = HeaderLayout(type_.declaration.span, STANDARD_METADATA, tuple(fields))
        header = Header(span, STANDARD_METADATA, layout, is_metadata=True)
        self._session.storage.headers.append(header)
        reference = ex.OneHeader(span, header)
        values: dict[str, v.Value] = {
            field.name: v.Scalar(ex.FieldValue(span, reference, index)) for index, field in enumerate(fields)
        }
        return v.Structure(type_, values)

    # -- blocks

    def _parser(self, instance: ParserInstance, arguments: list[v.Value]) -> Parser:
        emitter = StateEmitter(self._session.storage)
        body = BodyLowering(self._session, instance.scope, emitter)
        for parameter, value in zip(instance.declaration.parameters, arguments, strict=True):
            instance.scope.bind(parameter, value)
        start = body.run_parser(instance, None)
        states = sorted(emitter.states, key=lambda state: state.name != start)
        return Parser(instance.declaration.name.span, instance.name, tuple(states))

    def _control(self, instance: ControlInstance, arguments: list[v.Value]) -> Control:
        emitter = BlockEmitter(self._session.storage)
        body = BodyLowering(self._session, instance.scope, emitter)
        body.control = instance
        for parameter, value in zip(instance.declaration.parameters, arguments, strict=True):
            instance.scope.bind(parameter, value)
        instance.is_elaborated = instance.is_declared = True
        body.declare_locals(instance)
        body.run_control(instance)
        return Control(instance.declaration.name.span, instance.name, emitter.finish())

    # -- enums

    def _enums(self) -> list[EnumValues]:
        """The numbers of the user's enums that have none of their own."""
        return [
            EnumValues(declaration.name.text, tuple(member.name.text for member in declaration.members))
            for declaration in self._session.checked.program.declarations
            if isinstance(declaration, ast.EnumDeclaration)
            and declaration.underlying is None
            and not declaration.span.file.system
        ]
