"""Random values that meet one another: of each width a few are in use at a time, in entries and in packets alike."""

from __future__ import annotations

import random


class Values:
    """Pools of values, one a width.

    Args:
        size: values in a pool.
    """

    def __init__(self, rng: random.Random, size: int = 6) -> None:
        self.rng = rng
        self._size = size
        self._pools: dict[int, list[int]] = {}

    def pool(self, width: int) -> list[int]:
        if width not in self._pools:
            full = (1 << width) - 1
            corners = [0, 1, full, full >> 1, full - 1 & full, 1 << width - 1]
            drawn = [self.rng.getrandbits(width) for _ in range(self._size)]
            near = [value ^ 1 << self.rng.randrange(width) for value in drawn]
            self._pools[width] = self.rng.sample(corners, self._size // 2) + self.rng.sample(drawn + near, self._size)
        return self._pools[width]

    def value(self, width: int) -> int:
        """One of the pool's, seldom another."""
        return self.rng.choice(self.pool(width)) if self.rng.random() < 0.95 else self.rng.getrandbits(width)

    def mask(self, width: int) -> int:
        """All ones, none, a prefix, a suffix, or any."""
        full = (1 << width) - 1
        match self.rng.randrange(6):
            case 0:
                return full
            case 1:
                return 0
            case 2:
                return full ^ (1 << self.rng.randrange(width + 1)) - 1
            case 3:
                return (1 << self.rng.randrange(width + 1)) - 1
            case 4:
                return 1 << self.rng.randrange(width)
            case _:
                return self.rng.getrandbits(width)

    def range(self, width: int) -> tuple[int, int]:
        if self.rng.random() < 0.2:
            return 0, (1 << width) - 1
        low, high = sorted((self.value(width), self.value(width)))
        return low, high


def canonical(value: int) -> bytes:
    """P4Runtime's shortest form of a value."""
    return value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big")
