"""The decorator of every AST and IR node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar, dataclass_transform

T = TypeVar("T")

if TYPE_CHECKING:

    @dataclass_transform(frozen_default=True, eq_default=False)
    def node(cls: type[T]) -> type[T]: ...

else:

    def node(cls: type[T]) -> type[T]:
        """A slotted dataclass, compared and hashed by identity.

        The type checker treats nodes as frozen; at run time they are not, because a frozen dataclass takes three times as
        long to construct and the compiler makes some hundred thousand of them.
        """
        return dataclass(slots=True, eq=False)(cls)
