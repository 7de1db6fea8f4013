"""YAML and JSON text to values whose places in the text are known.

A stream is cut at its `---` lines before anything is parsed, so that a broken document does not take the others with it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import yaml

_SEPARATOR = re.compile(r"^---(?:[ \t].*)?$", re.MULTILINE)
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]")


class Loader(yaml.CSafeLoader):
    """YAML without dates: in an API object they are strings."""


Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


class Document(msgspec.Struct, frozen=True):
    """One document, or a failure to read it.

    Attributes:
        line: where it starts, from 1; where the error is, if there is one.
        value: the value, None for an empty document.
        node: YAML's own tree, for the places; None for JSON.
        base: the line of the text that YAML counted from.
        error: why it could not be parsed.
        column: where in the line, from 1.
    """

    line: int
    value: Any = None
    node: Any = None
    base: int = 1
    error: str | None = None
    column: int = 1

    def line_of(self, path: str) -> int:
        """The line of the field that a msgspec message means by `path` (`$.spec.ports[0].port`), or of what holds it."""
        return self.place_of(path)[0]

    def place_of(self, path: str) -> tuple[int, int]:
        """Line and column, from 1, of the field that `path` means: of its value, or of its key where the value holds others."""
        node, line, column = self.node, self.line, self.column
        for match in _STEP.finditer(path):
            name, index = match.groups()
            found = None
            if isinstance(node, yaml.MappingNode) and name is not None:
                for key, child in node.value:
                    if key.value == name:
                        found = child
                        mark = key.start_mark if child.start_mark.line != key.start_mark.line else child.start_mark
                        line, column = self.base + key.start_mark.line, mark.column + 1
            elif isinstance(node, yaml.SequenceNode) and index is not None and index.isdigit():
                found = node.value[int(index)] if int(index) < len(node.value) else None
                if found is not None:
                    line, column = self.base + found.start_mark.line, found.start_mark.column + 1
            if found is None:
                break
            node = found
        return line, column

    def items(self) -> Iterator[Document]:
        """The elements of the document's `items`, each as a document (a Kubernetes List)."""
        values = self.value["items"]
        nodes: list[Any] = [None] * len(values)
        if isinstance(self.node, yaml.MappingNode):
            nodes = next(child.value for key, child in self.node.value if key.value == "items")
        for value, node in zip(values, nodes, strict=True):
            line = self.line if node is None else self.base + node.start_mark.line
            yield Document(line, value, node, self.base)


def parse_yaml(text: str) -> Iterator[Document]:
    """The documents of a YAML stream, in order; empty ones are left out."""
    start = 0
    line = 1
    cuts = [*_SEPARATOR.finditer(text), None]
    for cut in cuts:
        chunk = text[start : cut.start() if cut else len(text)]
        yield from _parse_document(chunk, line)
        if cut:
            line += chunk.count("\n") + 1
            start = min(cut.end() + 1, len(text))


def _parse_document(chunk: str, line: int) -> Iterator[Document]:
    try:
        loader = Loader(chunk)
        try:
            node = loader.get_single_node()
            if node is None:
                return
            value = loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        yield Document(
            line + (mark.line if mark else 0),
            error=f"not YAML: {error.problem or error.context}",
            column=mark.column + 1 if mark else 1,
        )
        return
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        first = str(error).splitlines()
        yield Document(line, error=f"not YAML: {first[0] if first else type(error).__name__}")
        return
    yield Document(line + node.start_mark.line, value, node, line)


def parse_json(text: str) -> Iterator[Document]:
    """The JSON values of a text, one after the other."""
    decoder = json.JSONDecoder()
    position = 0
    while True:
        while position < len(text) and text[position].isspace():
            position += 1
        if position >= len(text):
            return
        line = text.count("\n", 0, position) + 1
        try:
            value, position = decoder.raw_decode(text, position)
        except json.JSONDecodeError as error:
            yield Document(error.lineno, error=f"not JSON: {error.msg}")
            return
        except RecursionError:
            yield Document(line, error="not JSON: nested too deeply")
            return
        yield Document(line, value)
