"""Text of the generated C: lines with indentation, temporaries, and comments that lead back to the P4 source."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from p4switch.bmv2.model import SourceInfo


class Writer:
    """Collects lines. Temporaries are numbered through the whole file, so that their names never clash."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._depth = 0
        self._temps = 0
        self._hoisted: list[dict[object, str]] = [{}]

    def line(self, text: str = "") -> None:
        self._lines.append("    " * self._depth + text if text else "")

    def label(self, name: str) -> None:
        """A label at the left margin; the empty statement lets a declaration or a closing brace follow."""
        self._lines.append(f"{name}:;")

    def comment(self, source: SourceInfo | None, fallback: str = "") -> None:
        """The P4 line that the following C comes from."""
        if source is not None:
            place = f"{source.filename.rpartition('/')[2]}:{source.line}: {' '.join(source.fragment.split())}"
            self.line(f"/* {_plain(place)} */")
        elif fallback:
            self.line(f"/* {_plain(fallback)} */")

    @contextmanager
    def block(self, head: str = "") -> Iterator[None]:
        """`head { … }`; what was hoisted inside is forgotten behind it."""
        self.line(f"{head} {{" if head else "{")
        self._depth += 1
        self._hoisted.append({})
        yield
        self._hoisted.pop()
        self._depth -= 1
        self.line("}")

    def temp(self, ctype: str, value: str) -> str:
        """Declares a constant temporary with `value`."""
        name = self.fresh()
        self.line(f"const {ctype} {name} = {value};")
        return name

    def fresh(self) -> str:
        self._temps += 1
        return f"t{self._temps}"

    def hoist(self, key: object, ctype: str, value: str) -> str:
        """A temporary for `key`, made once in a block."""
        for scope in self._hoisted:
            if key in scope:
                return scope[key]
        self._hoisted[-1][key] = name = self.temp(ctype, value)
        return name

    def forget(self) -> None:
        """After a store or a jump target, values computed before may be stale."""
        for scope in self._hoisted:
            scope.clear()

    def text(self) -> str:
        return "\n".join(self._lines) + "\n"


def _plain(text: str) -> str:
    """`text` made safe inside a C comment."""
    return text.replace("*/", "* /").replace("/*", "/ *").replace("\\", "/").encode("ascii", "replace").decode()


def c_string(text: str) -> str:
    """A C string literal of `text`, in UTF-8."""
    out = []
    for byte in text.encode():
        char = chr(byte)
        out.append(char if 32 <= byte < 127 and char not in '"\\?' else f"\\{byte:03o}")
    return '"' + "".join(out) + '"'
