"""What every test gets."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def keep_recursion_limit() -> Iterator[None]:
    """The compiler raises Python's recursion limit for the process that it runs in; the next test gets its own again.

    C code that guards its nesting by that limit (msgspec's decoder) would overflow its stack.
    """
    limit = sys.getrecursionlimit()
    yield
    sys.setrecursionlimit(limit)
