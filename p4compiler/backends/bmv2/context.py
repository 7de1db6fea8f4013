"""What the generators of the document's parts share: counted ids, field lists, calculations, diagnostics."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from p4compiler.backends.bmv2.document import Calculation, Document, FieldList, SourceInfo
from p4compiler.backends.bmv2.expressions import SCALARS, simple_value
from p4compiler.backends.bmv2.values import Field, HexString, Payload, RuntimeData, Value
from p4compiler.diagnostics import Diagnostics, Kind
from p4compiler.ir import expressions as ex
from p4compiler.ir import statements as st
from p4compiler.ir.objects import Action
from p4compiler.ir.program import Program
from p4compiler.ir.storage import Variable
from p4compiler.ir.types import width_of
from p4compiler.source import Span


@dataclass(slots=True)
class Context:
    """State of one run of the back end.

    Attributes:
        emit_externs: the switch has a module for the externs that v1model does not have.
        action_ids: of the actions generated so far.
        field_lists: the number of a `@field_list` annotation → id in the document.
    """

    program: Program
    diagnostics: Diagnostics
    emit_externs: bool = False
    document: Document = field(default_factory=Document)
    action_ids: dict[Action, int] = field(default_factory=dict)
    field_lists: dict[int, int] = field(default_factory=dict)
    _ids: Counter[str] = field(default_factory=Counter)

    def next_id(self, group: str) -> int:
        number = self._ids[group]
        self._ids[group] += 1
        return number

    def unsupported(self, message: str, span: Span) -> None:
        """Report what is good P4 but not something BMv2 can do."""
        self.diagnostics.error(Kind.UNSUPPORTED_ON_TARGET, message, span)

    def add_calculation(
        self,
        algorithm: st.HashAlgorithm,
        inputs: tuple[ex.Expression, ...],
        parameters: dict[ex.Parameter, int],
        span: Span,
        payload: bool = False,
    ) -> str:
        """A new calculation over the inputs, which must be simple; its name."""
        number = self.next_id("calculations")
        name = "calc" if number == 0 else f"calc_{number - 1}"
        values = [self._calculation_input(value, parameters) for value in inputs]
        if payload:
            values.append(Payload())
        self.document.calculations.append(Calculation(name, number, SourceInfo.of(span), algorithm.value, values))
        return name

    def _calculation_input(self, expression: ex.Expression, parameters: dict[ex.Parameter, int]) -> Value:
        value = simple_value(expression, parameters)
        if isinstance(value, HexString):
            # The target reads the bits of a calculation's constant, where no sign can stand.
            value.bitwidth = width_of(expression.type)
            value.value &= (1 << value.bitwidth) - 1
        if value is None or isinstance(value, RuntimeData):
            self.unsupported("the inputs of a checksum must be fields or constants", expression.span)
            return HexString(0, 1, 8)
        return value

    def field_list(self, number: int, span: Span) -> int:
        """The id of the list of the metadata fields annotated with `@field_list(number)`."""
        found = self.field_lists.get(number)
        if found is None:
            self.diagnostics.warning(Kind.INVALID, f"no user metadata fields tagged with @field_list({number})", span)
            found = self.empty_field_list(span)
            self.field_lists[number] = found
        return found

    def empty_field_list(self, span: Span) -> int:
        number = self.next_id("field_lists") + 1
        self.document.field_lists.append(FieldList(number, f"fl_{number}", SourceInfo.of(span), []))
        return number

    def declare_field_lists(self) -> None:
        """The lists that the user metadata's annotations make, in the order of their first field."""
        members: dict[int, list[Variable]] = {}
        for variable in self.program.storage.variables:
            for number in variable.field_lists:
                members.setdefault(number, []).append(variable)
        for number, variables in members.items():
            list_id = self.next_id("field_lists") + 1
            elements: list[Value] = [Field(SCALARS, variable.name) for variable in variables]
            self.document.field_lists.append(FieldList(list_id, f"field_list{number}", None, elements))
            self.field_lists[number] = list_id

    def add_learn_list(self, name: str, inputs: tuple[ex.Expression, ...], span: Span) -> int:
        """What a digest sends; its id."""
        number = self.next_id("learn_lists") + 1
        values: list[Value] = []
        for expression in inputs:
            value = simple_value(expression, {})
            assert isinstance(value, Field), (
                "the pass copy_complex_operands leaves only fields: the target takes nothing else"
            )
            values.append(value)
        self.document.learn_lists.append(FieldList(number, name, SourceInfo.of(span), values))
        return number
