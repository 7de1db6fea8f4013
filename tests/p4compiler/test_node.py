"""The decorators of the compiler's small classes."""

from __future__ import annotations

from dataclasses import field, fields
from typing import ClassVar

import pytest

from p4compiler.node import node, record, value


@record
class Base:
    shared: ClassVar[int] = 1
    name: str


@record
class Derived(Base):
    many: list[int] = field(default_factory=list)
    limit: int = 3


def test_records_are_compared_by_value_and_have_lists_of_their_own() -> None:
    one, other = Derived("a"), Derived("a")
    assert one == other and one.shared == 1 and [f.name for f in fields(Derived)] == ["name", "many", "limit"]
    one.many.append(1)
    assert one != other and other.many == []
    with pytest.raises(TypeError):
        hash(one)
    assert Derived("a", [1], 4) == Derived(name="a", limit=4, many=[1])


def test_nodes_are_compared_by_identity_and_values_by_value() -> None:
    @node
    class Node:
        number: int

    @value
    class Number:
        number: int

    assert Node(1) != Node(1) and Number(1) == Number(1) and len({Number(1), Number(1)}) == 1
