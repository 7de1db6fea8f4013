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
        error: why it could not be parsed.
    """

    line: int
    value: Any = None
    node: Any = None
    error: str | None = None

    def line_of(self, path: str) -> int:
        """The line of the field that a msgspec message means by `path` (`$.spec.ports[0].port`), or of what holds it."""
        node, line = self.node, self.line
        for match in _STEP.finditer(path):
            name, index = match.groups()
            found = None
            if isinstance(node, yaml.MappingNode) and name is not None:
                for key, child in node.value:
                    if key.value == name:
                        found, line = child, self.line + key.start_mark.line
            elif isinstance(node, yaml.SequenceNode) and index is not None and index.isdigit():
                if int(index) < len(node.value):
                    found = node.value[int(index)]
                    line = self.line + found.start_mark.line
            if found is None:
                break
            node = found
        return line

    def inner(self, *path: str | int) -> Document:
        """The part of the document at `path`, as a document."""
        value, node, line = self.value, self.node, self.line
        for step in path:
            value = value[step]
            if isinstance(node, yaml.MappingNode):
                node = next((child for key, child in node.value if key.value == step), None)
            elif isinstance(node, yaml.SequenceNode) and isinstance(step, int):
                node = node.value[step]
        if node is not None:
            line += node.start_mark.line
            return Document(line, value, _Shifted(node, node.start_mark.line).node)
        return Document(line, value)


class _Shifted:
    """A YAML node whose marks count from its own first line, as those of a document do."""

    def __init__(self, node: yaml.Node, lines: int) -> None:
        self.node = self._shift(node, lines)

    def _shift(self, node: yaml.Node, lines: int) -> yaml.Node:
        start = node.start_mark
        mark = yaml.Mark(start.name, start.index, start.line - lines, start.column, None, None)
        value = node.value
        if isinstance(node, yaml.MappingNode):
            value = [(self._shift(key, lines), self._shift(child, lines)) for key, child in value]
        elif isinstance(node, yaml.SequenceNode):
            value = [self._shift(child, lines) for child in value]
        return type(node)(node.tag, value, mark, node.end_mark)


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
            value = loader.construct_document(node)  # type: ignore[no-untyped-call]
        finally:
            loader.dispose()  # type: ignore[no-untyped-call]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        yield Document(line + (mark.line if mark else 0), error=f"not YAML: {error.problem or error.context}")
        return
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        first = str(error).splitlines()
        yield Document(line, error=f"not YAML: {first[0] if first else type(error).__name__}")
        return
    blank = re.match(r"(?:[ \t]*(?:#.*)?\n)*", chunk)  # a document starts where its first words are
    skipped = blank.group().count("\n") if blank else 0
    if skipped:
        node = _Shifted(node, skipped).node
    yield Document(line + skipped, value, node)


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
