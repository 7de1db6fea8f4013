"""What is known about a block's variables at one point of the program."""

from __future__ import annotations


class FlowState:
    """Sets of slots (see `shapes`), each an integer with one bit for a slot.

    Attributes:
        unset: values that some path leaves without an assignment.
        valid, invalid: headers that are valid, invalid on some path; both bits are set where it depends on the path.
        excused: headers whose validity was asked for, so that whoever wrote this thought of it: no warning until the end of the
            statement that asked.
        dead: no path leads here.
    """

    __slots__ = ("dead", "excused", "invalid", "unset", "valid")

    def __init__(self, unset: int = 0, valid: int = 0, invalid: int = 0, excused: int = 0, dead: bool = False) -> None:
        self.unset, self.valid, self.invalid, self.excused, self.dead = unset, valid, invalid, excused, dead

    def copy(self) -> FlowState:
        return FlowState(self.unset, self.valid, self.invalid, self.excused, self.dead)

    def join(self, other: FlowState) -> None:
        """Paths with the state `other` lead here too."""
        if other.dead:
            return
        if self.dead:
            self.unset, self.valid, self.invalid, self.excused = other.unset, other.valid, other.invalid, other.excused
            self.dead = False
            return
        self.unset |= other.unset
        self.valid |= other.valid
        self.invalid |= other.invalid
        self.excused &= other.excused

    def key(self) -> tuple[int, int, int, int, bool]:
        """Equal for equal states."""
        return (self.unset, self.valid, self.invalid, self.excused, self.dead)

    def forget(self, slots: int) -> None:
        """The variables of these slots have ended."""
        self.unset &= ~slots
        self.valid &= ~slots
        self.invalid &= ~slots
        self.excused &= ~slots
