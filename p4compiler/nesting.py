"""Room for deeply nested programs in a compiler that recurses over its trees."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

RECURSION_LIMIT = 60_000
"""Python's own limit must not be met before ours: a level of nesting takes up to a dozen calls in each phase."""


@contextmanager
def room_for_nesting() -> Iterator[None]:
    """Raise Python's recursion limit while the compiler works, and put it back: others in the process rely on it."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, RECURSION_LIMIT))
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)
