"""Numbers for symbols.

A symbol's number is preferred by its hash, the next free one after it if that is taken. So a number says something
about its symbol: only one from the short window after the hash can be the symbol's. That is how, after a restart, numbers that are
found in the switch are believed or not (`recover`), and why a number found there is never given to something else.

A number is free again once nothing in the switch uses it any more, not earlier: an entry about to be deleted must not
suddenly be about something else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
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


class Space(msgspec.Struct, frozen=True, gc=False, cache_hash=True):
    """A range of numbers that symbols of one kind share, ends included."""

    name: str
    low: int
    high: int

    @property
    def size(self) -> int:
        return self.high - self.low + 1

    def preferred(self, symbol: Symbol) -> int:
        digest = hashlib.blake2b(repr(symbol).encode(), digest_size=8, person=self.name.encode()[:16]).digest()
        return int.from_bytes(digest, "big") % (self.high - self.low + 1)

    def plausible(self, symbol: Symbol, number: int) -> bool:
        """Whether `number` is one that the symbol could have been given."""
        return self.low <= number <= self.high and (number - self.low - self.preferred(symbol)) % self.size < WINDOW


@cache
def _plain_space(name: str, bitwidth: int) -> Space:
    return Space(name, 1, (1 << bitwidth) - 1)


@cache
def _identity_space(is_pod: bool, bitwidth: int) -> Space:
    high = (1 << bitwidth) - 1
    if is_pod:
        return Space("Identity of pods", POD_IDENTITY_BIT, min(high, 2 * POD_IDENTITY_BIT - 1))
    return Space("Identity", IDENTITY_LOCAL_NODE + 1, min(high, POD_IDENTITY_BIT - 1))


def value_space(symbol: Symbol, bitwidth: int) -> Space:
    """The space of a symbol that stands in a field or parameter of that width."""
    if isinstance(symbol, Identity):
        return _identity_space(bool(symbol.namespace), bitwidth)
    return _plain_space(type(symbol).__name__, bitwidth)


@cache
def member_space(action_profile: str) -> Space:
    return Space(f"m {action_profile}", 1, (1 << 32) - 1)


@cache
def group_space(action_profile: str) -> Space:
    return Space(f"g {action_profile}", 1, (1 << 32) - 1)


Slot = tuple[Space, Symbol]


class _Numbers:
    """What is given out in one space. A number taken by None is in the switch; for what, is not known."""

    __slots__ = ("numbers", "taken", "unused", "uses")

    def __init__(self) -> None:
        self.numbers: dict[Symbol, int] = {}
        self.taken: dict[int, Symbol | None] = {}
        self.uses: dict[Symbol, int] = {}
        self.unused: dict[Symbol, None] = {}

    def bind(self, symbol: Symbol, number: int) -> None:
        self.numbers[symbol] = number
        self.taken[number] = symbol

    def forget(self, symbol: Symbol) -> None:
        number = self.numbers.pop(symbol, None)
        if number is not None:
            del self.taken[number]


class Allocator:
    """Which symbol has which number, and how often each is used."""

    def __init__(self) -> None:
        self._spaces: dict[Space, _Numbers] = {}
        self._new: set[Slot] = set()  # given a number between `begin` and `end`
        self._records = False
        self._all_is_new = True

    def __len__(self) -> int:
        return sum(len(found.numbers) for found in self._spaces.values())

    def _of(self, space: Space) -> _Numbers:
        found = self._spaces.get(space)
        if found is None:
            found = self._spaces[space] = _Numbers()
        return found

    def peek(self, space: Space, symbol: Symbol) -> int | None:
        """The symbol's number, if it has one."""
        return self._of(space).numbers.get(symbol)

    def symbol(self, space: Space, number: int) -> Symbol | None:
        """The symbol that has this number."""
        return self._of(space).taken.get(number)

    def number(self, space: Space, symbol: Symbol) -> int:
        """The symbol's number, a new one if it has none. Raises SpaceFullError."""
        found = self._of(space).numbers.get(symbol)
        return self._choose(space, symbol) if found is None else found

    def _choose(self, space: Space, symbol: Symbol) -> int:
        given = self._of(space)
        taken = given.taken
        if len(taken) > space.high - space.low:
            raise SpaceFullError(f"all {space.size} numbers of {space.name} are in use")
        offset = space.preferred(symbol)
        while space.low + offset in taken:
            offset = (offset + 1) % space.size
        given.bind(symbol, space.low + offset)
        if self._records:
            self._new.add((space, symbol))
        return space.low + offset

    # -- after a restart

    def begin(self) -> None:
        """Until `end`, tell the numbers given out from those that are known already."""
        self._new.clear()
        self._all_is_new = not len(self)
        self._records = not self._all_is_new

    def is_new(self, space: Space, symbol: Symbol) -> bool:
        """Whether the symbol's number was given out since `begin`, in ignorance of what the switch holds."""
        return self._all_is_new or (space, symbol) in self._new

    def end(self) -> None:
        """What is in the switch is known."""
        self._new.clear()
        self._records = self._all_is_new = False

    def adopt(self, space: Space, symbol: Symbol, number: int) -> bool:
        """Take over a number found in the switch, if it is free and could be the symbol's."""
        return space.plausible(symbol, number) and self.keep(space, symbol, number)

    def keep(self, space: Space, symbol: Symbol, number: int) -> bool:
        """Give a symbol without a number this one, if no other symbol has it."""
        given = self._of(space)
        if symbol in given.numbers or given.taken.get(number) is not None:
            return False
        given.bind(symbol, number)
        return True

    def reserve(self, space: Space, number: int) -> None:
        """The number is in use in the switch; for what, is not known. `adopt` may still find out."""
        if space.low <= number <= space.high:
            self._of(space).taken.setdefault(number, None)

    def is_free(self, space: Space, number: int) -> bool:
        """Whether no symbol has the number, and nothing in the switch."""
        return number not in self._of(space).taken

    def __iter__(self) -> Iterator[tuple[Space, Symbol, int]]:
        """Every symbol that has a number."""
        for space, given in self._spaces.items():
            for symbol, number in given.numbers.items():
                yield space, symbol, number

    # -- uses

    def retain(self, slot: Slot) -> None:
        given, symbol = self._of(slot[0]), slot[1]
        given.uses[symbol] = given.uses.get(symbol, 0) + 1
        given.unused.pop(symbol, None)

    def release(self, slot: Slot) -> None:
        given, symbol = self._of(slot[0]), slot[1]
        uses = given.uses[symbol] - 1
        if uses:
            given.uses[symbol] = uses
        else:
            del given.uses[symbol]
            given.unused[symbol] = None

    def forget_uses(self) -> None:
        """Nothing is used, until it is said to be."""
        for given in self._spaces.values():
            given.uses.clear()
            given.unused.clear()

    def take_uses(self, other: Allocator) -> None:
        """Have every symbol used as often as in `other`, which is not to be used any more."""
        for space, theirs in other._spaces.items():
            given = self._of(space)
            given.uses, given.unused = theirs.uses, theirs.unused

    def drop_unused(self) -> None:
        """Forget the number of every symbol that is not used."""
        for given in self._spaces.values():
            for symbol in [symbol for symbol in given.numbers if symbol not in given.uses]:
                given.forget(symbol)
            given.unused.clear()

    def sweep(self) -> None:
        """Everything unused has left the switch: free the numbers, those merely reserved included."""
        for given in self._spaces.values():
            for symbol in given.unused:
                given.forget(symbol)
            given.unused.clear()

    def forget_reserved(self) -> None:
        """What was found in the switch and is nobody's has left it."""
        for given in self._spaces.values():
            for number in [number for number, symbol in given.taken.items() if symbol is None]:
                del given.taken[number]
