"""Incremental computation: rules that are pure functions of inputs and of other rules, run again only when what they read has changed.

A rule is a function `(view, key) -> value`. Whatever it reads through the view is recorded, so there is no list of dependencies to
forget something in. When an input changes, everything that has (perhaps indirectly) read it is marked; a marked node
first brings up to date what it read, and runs again only if one of those values really changed. The cost is that of the change.

Some facts are better kept as a collection than recomputed: which identities exist, which address ranges
are in use. A rule *emits* items into such a collection; the collection in turn sets inputs that other rules read.

Nodes live as long as a living node reads or demands them, or they are pinned.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from typing import Any, Generic, Protocol, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
T_contra = TypeVar("T_contra", contravariant=True)


class Input(Generic[K, V]):
    """Values set from outside, by key; `default` where none is set."""

    __slots__ = ("default", "name")

    def __init__(self, name: str, default: V) -> None:
        self.name = name
        self.default = default


class Channel(Generic[K]):
    """Where rules emit items; an engine connects it to a collection."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


class Rule(Generic[K, V]):
    """A pure function of what it reads through its view.

    Attributes:
        stage: nodes that wait to be run are run in the order of their stages; only a matter of saving work.
    """

    __slots__ = ("function", "name", "stage")

    def __init__(self, name: str, function: Callable[[View, K], V], stage: int = 0) -> None:
        self.name = name
        self.function = function
        self.stage = stage


class Collection(Protocol[T_contra]):
    """Where emitted items go. The engine counts, so that each item is added once and removed once."""

    def add(self, item: T_contra) -> None: ...
    def remove(self, item: T_contra) -> None: ...


class Failure:
    """The value of a node whose rule raised: a defect of the rule. `str()` says which rule and what was raised."""

    __slots__ = ("error", "message")

    def __init__(self, message: str, error: Exception) -> None:
        self.message = message
        self.error = error

    def __str__(self) -> str:
        return self.message


class RuleFailedError(Exception):
    """A rule has read the value of one that failed; it fails with the same failure."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(str(failure))
        self.failure = failure


class _Node:
    __slots__ = ("deps", "emitted", "key", "marked", "origin", "pending", "pinned", "readers", "stale", "value")

    def __init__(self, origin: Rule[Any, Any] | Input[Any, Any], key: Hashable) -> None:
        self.origin = origin
        self.key = key
        self.value: Any = None
        self.deps: dict[_Node, bool] = {}  # True: read, False: only demanded
        self.readers: dict[_Node, bool] = {}
        self.pending: set[_Node] = set()  # marked nodes among `deps`: they may have changed
        self.stale = True  # must run whatever its dependencies say
        self.marked = False  # `stale`, or something is pending
        self.pinned = False
        self.emitted: tuple[tuple[Channel[Any], Hashable], ...] = ()


class View:
    """What a running rule may do."""

    __slots__ = ("_deps", "_emitted", "_engine")

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._deps: dict[_Node, bool] = {}
        self._emitted: list[tuple[Channel[Any], Hashable]] = []

    def read(self, source: Input[K, V], key: K) -> V:
        """The input's value."""
        node = self._engine._input_node(source, key)
        self._deps[node] = True
        value: V = node.value
        return value

    def get(self, rule: Rule[K, V], key: K) -> V:
        """The value of another rule, brought up to date."""
        node = self._engine._node(rule, key)
        self._engine._refresh(node)
        self._deps[node] = True
        if isinstance(node.value, Failure):
            raise RuleFailedError(node.value)
        value: V = node.value
        return value

    def demand(self, rule: Rule[K, V], key: K) -> None:
        """Keep another rule's node alive, without reading it: it is run in its own turn."""
        self._deps.setdefault(self._engine._node(rule, key), False)

    def emit(self, channel: Channel[K], item: K) -> None:
        """Have `item` in the channel's collection for as long as this node lives and says so."""
        self._emitted.append((channel, item))


class Engine:
    """The nodes, and what is to be run.

    `changed` is called as (rule, key, old value, new value) whenever a node's value changes; None is the value before the
    first run and after the node's death, a `Failure` that of a rule which raised. `share`, called as (old value, new value), may give
    an equal of the new value that is made of the old one's parts, so that there are not two of each in memory.
    """

    def __init__(
        self,
        changed: Callable[[Rule[Any, Any], Hashable, Any, Any], None],
        share: Callable[[Any, Any], Any] = lambda old, new: new,
    ) -> None:
        self._changed = changed
        self._share = share
        self._nodes: dict[tuple[Rule[Any, Any], Hashable], _Node] = {}
        self._inputs: dict[Input[Any, Any], dict[Hashable, _Node]] = {}
        self._values: dict[Input[Any, Any], dict[Hashable, Any]] = {}
        self._queue: dict[int, dict[_Node, None]] = {}
        self._orphans: dict[_Node, None] = {}
        self._collections: dict[Channel[Any], Collection[Any]] = {}
        self._counts: dict[tuple[Channel[Any], Hashable], int] = {}
        self._hooks: dict[Input[Any, Any], tuple[Callable[[Any], Any], Callable[[Any], None]]] = {}
        self.runs = 0  # how many rule functions were run: what tests and metrics measure the cost of a change by

    # -- from outside

    def connect(self, channel: Channel[K], collection: Collection[K]) -> None:
        """Say where the channel's items go; before anything is pinned."""
        self._collections[channel] = collection

    def hook(self, source: Input[K, V], start: Callable[[K], V], stop: Callable[[K], None]) -> None:
        """Have `start` give the value of a key when the first rule reads it, and `stop` called after the last one."""
        self._hooks[source] = (start, stop)

    def set(self, source: Input[K, V], key: K, value: V) -> None:
        """Set an input; an equal value is no change. The default value takes no room."""
        values = self._values.setdefault(source, {})
        if value == source.default:
            values.pop(key, None)
        else:
            values[key] = value
        node = self._inputs.get(source, {}).get(key)
        if node is not None and node.value != value:
            node.value = value
            self._make_readers_stale(node)

    def peek(self, source: Input[K, V], key: K) -> V:
        """The input's present value."""
        value: V = self._values.get(source, {}).get(key, source.default)
        return value

    def pin(self, rule: Rule[K, V], key: K) -> None:
        """Keep a node alive and up to date."""
        self._node(rule, key).pinned = True

    def unpin(self, rule: Rule[K, V], key: K) -> None:
        node = self._nodes.get((rule, key))
        if node is not None:
            node.pinned = False
            if not node.readers:
                self._orphans[node] = None

    def step(self, limit: int) -> bool:
        """Run up to `limit` marked nodes; whether everything is up to date. In between, nothing that was derived may be acted on."""
        for _ in range(limit):
            node = self._next()
            if node is None:
                if not self._orphans:
                    return True
                self._collect()
                continue
            self._refresh(node)
        return False

    def settle(self) -> None:
        """Run everything that is marked."""
        while not self.step(1000):
            pass

    def values(self, rule: Rule[K, V]) -> Iterator[tuple[K, V]]:
        """Every living node of a rule: its key and value."""
        for (owner, key), node in self._nodes.items():
            if owner is rule:
                yield key, node.value  # type: ignore[misc]

    def __len__(self) -> int:
        return len(self._nodes)

    # -- nodes

    def _node(self, rule: Rule[Any, Any], key: Hashable) -> _Node:
        node = self._nodes.get((rule, key))
        if node is None:
            node = self._nodes[rule, key] = _Node(rule, key)
            self._mark(node)
        return node

    def _input_node(self, source: Input[Any, Any], key: Hashable) -> _Node:
        nodes = self._inputs.setdefault(source, {})
        node = nodes.get(key)
        if node is None:
            node = nodes[key] = _Node(source, key)
            if source in self._hooks:
                self._values.setdefault(source, {})[key] = self._hooks[source][0](key)
            node.value = self._values.get(source, {}).get(key, source.default)
            node.stale = False
        return node

    def _mark(self, node: _Node) -> None:
        stack = [node]
        while stack:
            current = stack.pop()
            if current.marked:
                continue
            current.marked = True
            stage: int = current.origin.stage  # type: ignore[union-attr]
            self._queue.setdefault(stage, {})[current] = None
            for reader, reads in current.readers.items():
                if reads:
                    reader.pending.add(current)
                    stack.append(reader)

    def _make_readers_stale(self, node: _Node) -> None:
        for reader, reads in node.readers.items():
            if reads:
                reader.stale = True
                self._mark(reader)

    def _next(self) -> _Node | None:
        for stage in sorted(self._queue):
            queue = self._queue[stage]
            while queue:
                node = next(iter(queue))
                if node.marked:
                    return node
                del queue[node]
            del self._queue[stage]
        return None

    def _refresh(self, node: _Node) -> None:
        """Bring a node up to date, and first what it reads."""
        if not node.marked:
            return
        # All of them, even if the node is stale already: one refreshed while the node runs would make it stale again.
        while node.pending:
            self._refresh(node.pending.pop())  # sets node.stale if its value changed
        node.marked = False
        self._queue.get(node.origin.stage, {}).pop(node, None)  # type: ignore[union-attr]
        if node.stale:
            node.stale = False
            self._run(node)

    def _run(self, node: _Node) -> None:
        rule: Rule[Any, Any] = node.origin  # type: ignore[assignment]
        view = View(self)
        self.runs += 1
        try:
            new = rule.function(view, node.key)
        except RuleFailedError as error:
            new = error.failure
        except Exception as error:  # whatever is wrong with one object must not stop the others
            new = Failure(f"{rule.name}: {error!r}", error)
        old = node.value
        changes = new != old
        for dependency, reads in view._deps.items():
            dependency.readers[node] = reads
            if reads and dependency.marked:  # marked again by what ran meanwhile
                node.pending.add(dependency)
        for dependency in node.deps:
            if dependency not in view._deps:
                self._leave(node, dependency)
        node.deps = view._deps
        if changes:
            node.value = new = self._share(old, new)
        if node.pending:
            self._mark(node)
        self._emit(node, tuple(view._emitted))
        if changes:
            self._make_readers_stale(node)
            self._changed(rule, node.key, old, new)

    def _leave(self, node: _Node, dependency: _Node) -> None:
        dependency.readers.pop(node, None)
        node.pending.discard(dependency)
        if not dependency.readers and not dependency.pinned:
            self._orphans[dependency] = None

    def _collect(self) -> None:
        """Drop the nodes that nobody needs any more, and what only they needed."""
        while self._orphans:
            node, _ = self._orphans.popitem()
            if node.readers or node.pinned:
                continue
            origin = node.origin
            if isinstance(origin, Input):
                if self._inputs[origin].pop(node.key, None) is not None and origin in self._hooks:
                    self._values[origin].pop(node.key, None)
                    self._hooks[origin][1](node.key)
                continue
            if self._nodes.pop((origin, node.key), None) is None:
                continue
            node.marked = False
            self._queue.get(origin.stage, {}).pop(node, None)
            for dependency in node.deps:
                self._leave(node, dependency)
            node.deps = {}
            self._emit(node, ())
            if node.value is not None:
                self._changed(origin, node.key, node.value, None)

    def _emit(self, node: _Node, items: tuple[tuple[Channel[Any], Hashable], ...]) -> None:
        if items == node.emitted:
            return
        before, node.emitted = node.emitted, items
        for slot in items:
            count = self._counts.get(slot, 0)
            self._counts[slot] = count + 1
            if not count:
                self._collections[slot[0]].add(slot[1])
        for slot in before:
            count = self._counts[slot] - 1
            if count:
                self._counts[slot] = count
            else:
                del self._counts[slot]
                self._collections[slot[0]].remove(slot[1])
