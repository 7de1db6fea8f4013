"""Types whose values the controller calls by strings (`@p4runtime_translation` with `string`).

The specification leaves the mapping to the server. Here a string that is a decimal number stands for that number, as far as the
type goes, so that ports and other things with numbers of their own can be named; what the type's
`@p4runtime_translation_mappings` annotation lists stands for what it says there; and any other string gets a number when a
client first writes it, from the type's highest number down. A mapping lasts as long as the pipeline configuration. Numbers
that come from packets and have no string are written as decimal numbers.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable

from p4base.messages import p4t
from p4switch.service.errors import Code, P4Error, invalid

MAX_STRING_BYTES = 1024

_MAPPING = re.compile(r'\{\s*"((?:[^"\\]|\\.)*)"\s*,\s*(0[xX][0-9a-fA-F]+|\d+)\s*\}')


class StringMap:
    """The strings and numbers of one type. Safe to use from several threads."""

    def __init__(self, name: str, listed: Iterable[tuple[str, int]] = ()) -> None:
        self.name = name
        self._lock = threading.Lock()
        self._numbers = {text.encode(): number for text, number in listed}
        self._strings = {number: text for text, number in self._numbers.items()}
        self._next: dict[int, int] = {}  # by width, the number to try next

    def number(self, text: bytes, bitwidth: int) -> int:
        """The number of a string in a field of `bitwidth` bits; a new one if it has none.

        Raises:
            P4Error: INVALID_ARGUMENT, it is no string of this type; RESOURCE_EXHAUSTED, all numbers are in use.
        """
        with self._lock:
            known = self._find(text)
            if known is not None:
                if known >> bitwidth:
                    raise invalid(f"{text.decode()!r} does not fit in {bitwidth} bits")
                self._numbers[text] = known  # so that no other string gets it
                self._strings[known] = text
                return known
            if len(text) > MAX_STRING_BYTES:
                raise invalid(f"a string of {len(text)} bytes, expected at most {MAX_STRING_BYTES}")
            try:
                text.decode()
            except UnicodeDecodeError:
                raise invalid("the string is not UTF-8") from None
            number = self._next.get(bitwidth, (1 << bitwidth) - 1)
            while number in self._strings:
                number -= 1
            if number < 0:
                raise P4Error(Code.RESOURCE_EXHAUSTED, f"type {self.name} has no number left for another string")
            self._next[bitwidth] = number - 1
            self._numbers[text] = number
            self._strings[number] = text
            return number

    def knows(self, text: bytes) -> bool:
        """Whether the string has a number."""
        with self._lock:
            return self._find(text) is not None

    def string(self, number: int) -> bytes:
        """The string of a number."""
        with self._lock:
            return self._strings.get(number) or str(number).encode()

    def _find(self, text: bytes) -> int | None:
        known = self._numbers.get(text)
        if known is None and text.isdigit() and len(text) < 20 and (text[:1] != b"0" or text == b"0"):
            known = int(text)
            # A number that was given away to a string cannot be called by its digits as well.
            if known in self._strings:
                raise invalid(f"number {known} of type {self.name} is called {self._strings[known].decode()!r}")
        return known


def string_maps(types: p4t.P4TypeInfo) -> dict[str, StringMap]:
    """A map for each type of a P4Info that is translated to strings."""
    return {
        name: StringMap(name, _listed(spec.annotations))
        for name, spec in types.new_types.items()
        if spec.translated_type.HasField("sdn_string")
    }


def _listed(annotations: Iterable[str]) -> list[tuple[str, int]]:
    return [
        (text, int(number, 0))
        for annotation in annotations
        if annotation.startswith("@p4runtime_translation_mappings")
        for text, number in _MAPPING.findall(annotation)
    ]
