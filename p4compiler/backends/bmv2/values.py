"""The values and expressions of the BMv2 JSON ("the type value object" of its format description).

Each knows its own JSON. Where the format wants an expression wrapped into another one, `argument` says so.
"""

from __future__ import annotations

from typing import Any, ClassVar, final

from p4compiler.node import record

Json = Any


@record
class Value:
    def json(self) -> Json:
        """As an operand of an expression."""
        raise NotImplementedError

    def argument(self) -> Json:
        """As a parameter of a primitive."""
        return self.json()


def hex_string(value: int, width_bytes: int = 0) -> str:
    """`0x` and at least that many bytes; negative numbers keep their sign outside."""
    sign = "-" if value < 0 else ""
    return f"{sign}0x{abs(value):0{width_bytes * 2}x}"


@final
@record
class HexString(Value):
    """A number. `bitwidth` is written only where a calculation asks for it."""

    value: int
    width_bytes: int = 0
    bitwidth: int | None = None

    def json(self) -> Json:
        result: dict[str, Json] = {"type": "hexstr", "value": hex_string(self.value, self.width_bytes)}
        if self.bitwidth is not None:
            result["bitwidth"] = self.bitwidth
        return result


@final
@record
class BooleanValue(Value):
    value: bool

    def json(self) -> Json:
        return {"type": "bool", "value": self.value}


@final
@record
class Field(Value):
    """A field of a header instance."""

    header: str
    name: str

    @property
    def reference(self) -> list[str]:
        return [self.header, self.name]

    def json(self) -> Json:
        return {"type": "field", "value": [self.header, self.name]}


@final
@record
class StackField(Value):
    """A field of the last header extracted into a stack."""

    stack: str
    name: str

    def json(self) -> Json:
        return {"type": "stack_field", "value": [self.stack, self.name]}

    def argument(self) -> Json:
        return {"type": "expression", "value": self.json()}


@final
@record
class UnionStackField(Value):
    """A field of the last union extracted into a stack of unions; only in a transition key."""

    stack: str
    member: str
    name: str

    def json(self) -> Json:
        return {"type": "union_stack_field", "value": [self.stack, self.member, self.name]}


@final
@record
class RuntimeData(Value):
    """A parameter of the action: `runtime_data` as an argument, `local` inside an expression."""

    index: int

    def json(self) -> Json:
        return {"type": "local", "value": self.index}

    def argument(self) -> Json:
        return {"type": "runtime_data", "value": self.index}


@final
@record
class LookaheadValue(Value):
    """Offset and width in bits."""

    offset: int
    width: int

    def json(self) -> Json:
        return {"type": "lookahead", "value": [self.offset, self.width]}


@record
class NamedObject(Value):
    """An object of the document, by name."""

    name: str
    kind: ClassVar[str]

    def json(self) -> Json:
        return {"type": self.kind, "value": self.name}


@final
@record
class HeaderName(NamedObject):
    kind = "header"


@final
@record
class StackName(NamedObject):
    kind = "header_stack"


@final
@record
class UnionName(NamedObject):
    kind = "header_union"


@final
@record
class UnionStackName(NamedObject):
    kind = "header_union_stack"


@final
@record
class RegisterName(NamedObject):
    kind = "register_array"


@final
@record
class CounterName(NamedObject):
    kind = "counter_array"


@final
@record
class MeterName(NamedObject):
    kind = "meter_array"


@final
@record
class CalculationName(NamedObject):
    kind = "calculation"


@final
@record
class ExternName(NamedObject):
    kind = "extern"


@final
@record
class StringValue(NamedObject):
    """Not a name, but written like one."""

    kind = "string"


@final
@record
class ParametersVector(Value):
    values: list[Value]

    def json(self) -> Json:
        return {"type": "parameters_vector", "value": [value.argument() for value in self.values]}


@final
@record
class Payload(Value):
    """The rest of the packet, in the input of a calculation."""

    def json(self) -> Json:
        return {"type": "payload", "value": None}


@final
@record
class Operation(Value):
    """An expression. `right` is a plain number for `access_field`; `condition` is there for `?` only."""

    operator: str
    left: Value | None
    right: Value | int
    condition: Value | None = None

    def json(self) -> Json:
        value: dict[str, Json] = {
            "op": self.operator,
            "left": None if self.left is None else self.left.json(),
            "right": self.right if isinstance(self.right, int) else self.right.json(),
        }
        if self.condition is not None:
            value["cond"] = self.condition.json()
        return {"type": "expression", "value": value}

    def argument(self) -> Json:
        return {"type": "expression", "value": self.json()}
