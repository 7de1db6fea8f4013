"""Numbers for symbols.

A symbol's number is preferred by its hash, the next free one after it if that is taken. So a number says something
about its symbol: only one from the short window after the hash can be the symbol's. That is how, after a restart, numbers that are
found in the switch are believed or not (`recover`), and why a number found there is never given to something else.

A number is free again once nothing in the switch uses it any more, not earlier: an entry about to be deleted must not
suddenly be about something else.
"""

from __future__ import annotations

import hashlib
from functools import cache

import msgspec

from controlplane.desired.symbols import (
    IDENTITY_LOCAL_NODE,
    POD_IDENTITY_BIT,
    Identity,
    Symbol,
)

WINDOW = 64
"""How far from its hash a symbol's number may lie and still be believed after a restart."""


class SpaceFullError(Exception):
    """No number is left for the symbol. `str()` says of what."""


class Space(msgspec.Struct, frozen=True):
    """A range of numbers that symbols of one kind share, ends included."""

    name: str
    low: int
    high: int

    @property
    def size(self) -> int:
        return self.high - self.low + 1

    def preferred(self, symbol: Symbol) -> int:
        digest = hashlib.blake2b(repr(symbol).encode(), digest_size=8, person=self.name.encode()[:16]).digest()
        return int.from_bytes(digest, "big") % self.size

    def plausible(self, symbol: Symbol, number: int) -> bool:
        """Whether `number` is one that the symbol could have been given."""
        return self.low <= number <= self.high and (number - self.low - self.preferred(symbol)) % self.size < WINDOW


@cache
def _plain_space(name: str, bitwidth: int) -> Space:
    return Space(name, 1, (1 << bitwidth) - 1)


def value_space(symbol: Symbol, bitwidth: int) -> Space:
    """The space of a symbol that stands in a field or parameter of that width."""
    if not isinstance(symbol, Identity):
        return _plain_space(type(symbol).__name__, bitwidth)
    high = (1 << bitwidth) - 1
    if symbol.namespace:
        return Space("Identity of pods", POD_IDENTITY_BIT, min(high, 2 * POD_IDENTITY_BIT - 1))
    return Space("Identity", IDENTITY_LOCAL_NODE + 1, min(high, POD_IDENTITY_BIT - 1))


@cache
def member_space(action_profile: str) -> Space:
    return Space(f"m {action_profile}", 1, (1 << 32) - 1)


@cache
def group_space(action_profile: str) -> Space:
    return Space(f"g {action_profile}", 1, (1 << 32) - 1)


Slot = tuple[Space, Symbol]


class Allocator:
    """Which symbol has which number, and how often each is used."""

    def __init__(self) -> None:
        self._numbers: dict[Slot, int] = {}
        self._taken: dict[Space, dict[int, Symbol | None]] = {}
        self._uses: dict[Slot, int] = {}
        self._unused: dict[Slot, None] = {}

    def __len__(self) -> int:
        return len(self._numbers)

    def peek(self, space: Space, symbol: Symbol) -> int | None:
        """The symbol's number, if it has one."""
        return self._numbers.get((space, symbol))

    def symbol(self, space: Space, number: int) -> Symbol | None:
        """The symbol that has this number."""
        return self._taken.get(space, {}).get(number)

    def number(self, space: Space, symbol: Symbol) -> int:
        """The symbol's number, a new one if it has none. Raises SpaceFullError."""
        found = self._numbers.get((space, symbol))
        return self._choose(space, symbol) if found is None else found

    def _choose(self, space: Space, symbol: Symbol) -> int:
        taken = self._taken.setdefault(space, {})
        if len(taken) >= space.size:
            raise SpaceFullError(f"all {space.size} numbers of {space.name} are in use")
        offset = space.preferred(symbol)
        if (
            taken.get(space.low + offset, symbol) is not None
        ):  # else it is in the switch, and whose could it be but this symbol's
            while space.low + offset in taken:
                offset = (offset + 1) % space.size
        self._bind(space, symbol, space.low + offset)
        return space.low + offset

    def adopt(self, space: Space, symbol: Symbol, number: int) -> bool:
        """Take over a number found in the switch, if it is free and could be the symbol's."""
        if (space, symbol) in self._numbers or not space.plausible(symbol, number):
            return False
        if self._taken.setdefault(space, {}).get(number) is not None:
            return False
        self._bind(space, symbol, number)
        return True

    def reserve(self, space: Space, number: int) -> None:
        """The number is in use in the switch; for what, is not known. `adopt` may still find out."""
        if space.low <= number <= space.high:
            self._taken.setdefault(space, {}).setdefault(number, None)

    def clear(self) -> None:
        """Forget everything but the uses."""
        self._numbers.clear()
        self._taken.clear()
        self._unused = dict.fromkeys(self._unused)

    def _bind(self, space: Space, symbol: Symbol, number: int) -> None:
        self._numbers[space, symbol] = number
        self._taken.setdefault(space, {})[number] = symbol

    # -- uses

    def retain(self, slot: Slot) -> None:
        self._uses[slot] = self._uses.get(slot, 0) + 1
        self._unused.pop(slot, None)

    def release(self, slot: Slot) -> None:
        uses = self._uses[slot] - 1
        if uses:
            self._uses[slot] = uses
        else:
            del self._uses[slot]
            self._unused[slot] = None

    def sweep(self) -> None:
        """Everything unused has left the switch: free the numbers, those merely reserved included."""
        for slot in self._unused:
            number = self._numbers.pop(slot, None)
            if number is not None:
                del self._taken[slot[0]][number]
        self._unused.clear()

    def forget_reserved(self) -> None:
        """What was found in the switch and is nobody's has left it."""
        for taken in self._taken.values():
            for number in [number for number, symbol in taken.items() if symbol is None]:
                del taken[number]
