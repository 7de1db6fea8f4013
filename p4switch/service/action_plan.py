"""An action, precompiled: `p4.v1.Action` to the seam's packed `Action`, and back to bytes on the wire."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from p4base import bytestring
from p4base.messages import p4i, p4r
from p4switch.dataplane import Action
from p4switch.service import wire
from p4switch.service.errors import P4Error, invalid
from p4switch.service.program import DeviceParam
from p4switch.service.translation import StringMap

# Field numbers of p4.v1.Action.
_ACTION_ID = 1
_PARAMS = 4
_PARAM_ID = 2
_PARAM_VALUE = 3


class Param(msgspec.Struct, frozen=True):
    """One parameter, at `offset` of the packed arguments; `bitwidth` is the device's."""

    id: int
    name: str
    bitwidth: int
    offset: int
    size: int
    strings: StringMap | None = None


class ActionPlan:
    """One action with its parameters.

    Attributes:
        id, name: as in the P4Info.
        wire_plan: for each parameter its place in the packed arguments and what precedes its value on the wire, by the
            value's length.
        encode: params -> Action; raises P4Error INVALID_ARGUMENT naming the action and the parameter.
    """

    def __init__(
        self, action: p4i.Action, device_params: Sequence[DeviceParam], strings: Mapping[str, StringMap]
    ) -> None:
        self.id = action.preamble.id
        self.name = action.preamble.name
        self.params = _layout(action, device_params, strings)
        self.size = sum(param.size for param in self.params)
        self._by_id = {param.id: param for param in self.params}
        self._head = wire.varint_field(_ACTION_ID, self.id)
        self.wire_plan = [
            (
                param.offset,
                param.offset + param.size,
                wire.bytes_prefixes(
                    wire.varint_field(_PARAM_ID, param.id), _PARAM_VALUE, param.size, enclosing=(_PARAMS,)
                ),
            )
            for param in self.params
        ]
        self.encode: Callable[[Sequence[p4r.Action.Param]], Action] = self._encoder()

    def to_wire(self, args: bytes) -> bytes:
        """The bytes of the `p4.v1.Action` message with these packed arguments."""
        if any(param.strings for param in self.params):
            return self._strings_to_wire(args)
        parts = [self._head]
        for start, end, prefixes in self.wire_plan:
            value = args[start:end].lstrip(b"\0") or b"\0"
            parts.append(prefixes[len(value)])
            parts.append(value)
        return b"".join(parts)

    def _strings_to_wire(self, args: bytes) -> bytes:
        parts = [self._head]
        for param in self.params:
            number = int.from_bytes(args[param.offset : param.offset + param.size], "big")
            value = param.strings.string(number) if param.strings is not None else bytestring.encode(number)
            body = wire.varint_field(_PARAM_ID, param.id) + wire.bytes_field(_PARAM_VALUE, value)
            parts.append(wire.bytes_field(_PARAMS, body))
        return b"".join(parts)

    def _encode(self, params: Sequence[p4r.Action.Param]) -> Action:
        """The general path: any order of parameters, every mistake."""
        args = bytearray(self.size)
        seen = set()
        for given in params:
            param = self._by_id.get(given.param_id)
            if param is None:
                known = ", ".join(f"{p.id} ({p.name})" for p in self.params) or "none"
                raise invalid(f"action {self.name} has no parameter with id {given.param_id}; it has {known}")
            if param.id in seen:
                raise self._param_error(param, "given twice")
            seen.add(param.id)
            try:
                if param.strings is not None:
                    value = param.strings.number(given.value, param.bitwidth).to_bytes(param.size, "big")
                else:
                    value = bytestring.pack(given.value, param.bitwidth)
            except bytestring.BytestringError as error:
                raise self._param_error(param, str(error)) from None
            except P4Error as error:
                raise P4Error(error.code, f"action {self.name}: parameter {param.name}: {error}") from None
            args[param.offset : param.offset + param.size] = value
        for param in self.params:
            if param.id not in seen:
                raise self._param_error(param, "missing")
        return Action(self.name, bytes(args))

    def _param_error(self, param: Param, problem: str) -> P4Error:
        return invalid(f"action {self.name}: parameter {param.name} ({param.bitwidth} bits): {problem}")

    def _encoder(self) -> Callable[[Sequence[p4r.Action.Param]], Action]:
        """The short path for parameters sent in P4Info's order; whatever is unusual goes the general way."""
        general = self._encode
        if not self.params:
            constant = Action(self.name)
            return lambda params: general(params) if len(params) else constant
        in_order = [p.offset for p in self.params] == sorted(p.offset for p in self.params)
        if not in_order or any(param.strings for param in self.params):
            return general
        count = len(self.params)
        name = self.name
        plan = [(param.id, param.size, 1 << ((param.bitwidth - 1) % 8 + 1)) for param in self.params]

        def encode(params: Sequence[p4r.Action.Param]) -> Action:
            if len(params) != count:
                return general(params)
            parts = []
            for given, (param_id, size, limit) in zip(params, plan, strict=True):
                value = given.value
                length = len(value)
                if given.param_id != param_id or not 0 < length <= size:
                    return general(params)
                if length < size:
                    value = value.rjust(size, b"\0")
                elif value[0] >= limit:
                    return general(params)
                parts.append(value)
            return Action(name, b"".join(parts))

        return encode


def _layout(
    action: p4i.Action, device_params: Sequence[DeviceParam], strings: Mapping[str, StringMap]
) -> tuple[Param, ...]:
    places: dict[str, tuple[int, int, int]] = {}
    offset = 0
    for device_param in device_params:
        size = bytestring.byte_width(device_param.bitwidth)
        places[device_param.name] = (offset, size, device_param.bitwidth)
        offset += size
    params = []
    for param in action.params:
        offset, size, bitwidth = places[param.name]
        params.append(
            Param(
                id=param.id,
                name=param.name,
                bitwidth=bitwidth,
                offset=offset,
                size=size,
                strings=strings.get(param.type_name.name),
            )
        )
    return tuple(params)
