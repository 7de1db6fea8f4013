"""The engine: what is run again, in which order, what is dropped, and what a failing rule does."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import pytest

from controlplane.desired.engine import Channel, Engine, Failure, Input, Rule, View

NUMBER: Input[str, int] = Input("number", 0)
NAMES: Channel[str] = Channel("names")


class Log:
    def __init__(self) -> None:
        self.runs: list[str] = []
        self.changes: list[tuple[str, Hashable, Any, Any]] = []
        self.engine = Engine(lambda rule, key, old, new: self.changes.append((rule.name, key, old, new)))

    def rule(self, name: str, function: Any, stage: int = 0) -> Rule[Any, Any]:
        def logged(view: View, key: Any) -> Any:
            self.runs.append(name)
            return function(view, key)

        return Rule(name, logged, stage)


@pytest.fixture
def log() -> Log:
    return Log()


def test_only_readers_of_what_changed_are_run(log: Log) -> None:
    double = log.rule("double", lambda view, key: 2 * view.read(NUMBER, key))
    for key in ("a", "b"):
        log.engine.pin(double, key)
    log.engine.settle()
    log.engine.set(NUMBER, "a", 4)
    log.engine.settle()
    assert log.runs == ["double"] * 3
    assert log.changes[-1] == ("double", "a", 0, 8)


def test_an_equal_value_ends_the_chain(log: Log) -> None:
    parity = log.rule("parity", lambda view, key: view.read(NUMBER, key) % 2)
    word = log.rule("word", lambda view, key: "odd" if view.get(parity, key) else "even")
    log.engine.pin(word, "a")
    log.engine.settle()
    log.engine.set(NUMBER, "a", 2)
    log.engine.settle()
    assert log.runs == ["word", "parity", "parity"]
    log.engine.set(NUMBER, "a", 3)
    log.engine.settle()
    assert log.runs[3:] == ["parity", "word"]


def test_a_diamond_is_run_once(log: Log) -> None:
    left = log.rule("left", lambda view, key: view.read(NUMBER, key) + 1)
    right = log.rule("right", lambda view, key: view.read(NUMBER, key) + 2)
    total = log.rule("total", lambda view, key: view.get(left, key) + view.get(right, key))
    log.engine.pin(total, "a")
    log.engine.settle()
    log.runs.clear()
    log.engine.set(NUMBER, "a", 10)
    log.engine.settle()
    assert sorted(log.runs) == ["left", "right", "total"]
    assert log.changes[-1] == ("total", "a", 3, 23)


def test_dependencies_follow_what_is_read(log: Log) -> None:
    choice = log.rule("choice", lambda view, _: view.read(NUMBER, "x" if view.read(NUMBER, "switch") else "y"))
    log.engine.pin(choice, None)
    log.engine.settle()
    log.engine.set(NUMBER, "x", 5)
    log.engine.settle()
    assert log.runs == ["choice"]
    log.engine.set(NUMBER, "switch", 1)
    log.engine.settle()
    log.engine.set(NUMBER, "y", 6)
    log.engine.settle()
    assert log.runs == ["choice"] * 2
    assert log.changes[-1][3] == 5


def test_what_nobody_needs_any_more_is_dropped(log: Log) -> None:
    leaf = log.rule("leaf", lambda view, key: view.read(NUMBER, key) + 1)
    demanding = log.rule("demanding", lambda view, key: view.demand(leaf, "l") or 1)
    log.engine.pin(demanding, "d")
    log.engine.settle()
    assert len(log.engine) == 2
    log.engine.unpin(demanding, "d")
    log.engine.settle()
    assert len(log.engine) == 0
    assert {change[:2] for change in log.changes if change[3] is None} == {("leaf", "l"), ("demanding", "d")}


def test_a_demanded_rule_does_not_make_its_demander_run(log: Log) -> None:
    leaf = log.rule("leaf", lambda view, key: view.read(NUMBER, key), stage=2)
    demanding = log.rule("demanding", lambda view, key: view.demand(leaf, "l") or 1)
    log.engine.pin(demanding, "d")
    log.engine.settle()
    log.engine.set(NUMBER, "l", 7)
    log.engine.settle()
    assert log.runs == ["demanding", "leaf", "leaf"]


def test_emitted_items_are_counted(log: Log) -> None:
    items: list[str] = []

    class Names:
        def add(self, item: str) -> None:
            items.append(item)

        def remove(self, item: str) -> None:
            items.remove(item)

    log.engine.connect(NAMES, Names())
    naming = log.rule("naming", lambda view, key: view.emit(NAMES, f"n{view.read(NUMBER, key)}") or 1)
    log.engine.pin(naming, "a")
    log.engine.pin(naming, "b")
    log.engine.settle()
    assert items == ["n0"]
    log.engine.set(NUMBER, "a", 1)
    log.engine.settle()
    assert sorted(items) == ["n0", "n1"]
    log.engine.unpin(naming, "b")
    log.engine.settle()
    assert items == ["n1"]


def test_a_rule_that_raises_fails_alone_and_recovers(log: Log) -> None:
    inverse = log.rule("inverse", lambda view, key: 12 // view.read(NUMBER, key))
    reader = log.rule("reader", lambda view, key: view.get(inverse, key) + 1)
    for key in ("a", "b"):
        log.engine.set(NUMBER, key, 3)
        log.engine.pin(reader, key)
    log.engine.settle()
    log.engine.set(NUMBER, "a", 0)
    log.engine.settle()
    failed = dict(log.engine.values(reader))
    assert isinstance(failed["a"], Failure) and "inverse" in str(failed["a"])
    assert failed["b"] == 5
    log.engine.set(NUMBER, "a", 4)
    log.engine.settle()
    assert dict(log.engine.values(reader))["a"] == 4


def test_a_step_does_no_more_than_asked(log: Log) -> None:
    rule = log.rule("rule", lambda view, key: view.read(NUMBER, key) + 1)
    for number in range(10):
        log.engine.pin(rule, str(number))
    assert not log.engine.step(4)
    assert len(log.runs) == 4
    log.engine.settle()
    assert len(log.runs) == 10
