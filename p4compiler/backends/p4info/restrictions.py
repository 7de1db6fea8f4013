"""What P4Runtime cannot describe though P4 and the target can have it. p4c says so, too, where P4Info is asked for."""

from __future__ import annotations

from p4compiler.diagnostics import Diagnostics, Kind
from p4compiler.ir import data_types as dt
from p4compiler.ir import objects as ob


def check_value_set(value_set: ob.ValueSet, diagnostics: Diagnostics) -> None:
    """A value set is of bits, of a struct of bits or of a serializable enum."""
    known = "P4Runtime knows value sets of bit<W>, of a struct of bit<W> fields and of a serializable enum"
    match value_set.data_type:
        case dt.BitsData() | dt.SerializableEnumData():
            return
        case dt.StructData(members=members):
            wrong = [member.name for member in members if not isinstance(member.type, dt.BitsData)]
            if wrong:
                message = f"{known}; field '{wrong[0]}' of value set '{value_set.name}' is not bit<W>"
                diagnostics.error(Kind.UNSUPPORTED, message, value_set.span)
        case dt.TupleData():
            diagnostics.error(Kind.UNSUPPORTED, f"{known}, not of a tuple as '{value_set.name}' is", value_set.span)
        case _:
            diagnostics.error(Kind.INVALID, f"{known}; '{value_set.name}' is none of these", value_set.span)


def check_action(action: ob.Action, diagnostics: Diagnostics) -> None:
    """What the control plane gives to an action has a width, or is an enum's member."""
    for parameter in action.parameters:
        if isinstance(parameter.data_type, dt.ErrorData):
            message = f"P4Runtime has no errors as parameters: '{parameter.name}' of action '{action.name}'"
            diagnostics.error(Kind.TYPE_ERROR, message, parameter.value.span)


def check_key(key: ob.Key, table: ob.Table, diagnostics: Diagnostics) -> None:
    """A key's value has a width; an enum without representation has none."""
    if isinstance(key.data_type, dt.EnumData):
        message = f"the members of enum '{key.data_type.name}' have no numbers for key '{key.name}' of '{table.name}'"
        diagnostics.error(Kind.UNSUPPORTED, message, key.span)
