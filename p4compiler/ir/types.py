"""The types of values in the IR: what is left of P4's types once structures are taken apart."""

from __future__ import annotations

from dataclasses import dataclass

ERROR_WIDTH = 32
"""An error, and a member of an enum without representation, is a number of this many bits."""


@dataclass(frozen=True, slots=True)
class Type:
    """Compared by value."""


@dataclass(frozen=True, slots=True)
class Bits(Type):
    """`bit<width>` or, signed, `int<width>`; errors and enums are `bit<32>`."""

    width: int
    signed: bool = False

    def __str__(self) -> str:
        return f"{'int' if self.signed else 'bit'}<{self.width}>"


@dataclass(frozen=True, slots=True)
class Boolean(Type):
    """Kept in one bit."""

    def __str__(self) -> str:
        return "bool"


@dataclass(frozen=True, slots=True)
class Varbit(Type):
    max_width: int

    def __str__(self) -> str:
        return f"varbit<{self.max_width}>"


@dataclass(frozen=True, slots=True)
class Text(Type):
    """A string; only the format of a log message is one."""

    def __str__(self) -> str:
        return "string"


BOOLEAN = Boolean()
TEXT = Text()
ERROR = Bits(ERROR_WIDTH)


def width_of(type_: Type) -> int:
    """Bits that a value takes in a header or a key (a varbit: at most)."""
    match type_:
        case Bits(width=width):
            return width
        case Boolean():
            return 1
        case Varbit(max_width=width):
            return width
    raise TypeError(f"{type_} has no width")
