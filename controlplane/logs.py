"""Log lines on standard error: one line an event, as text or as JSON."""

from __future__ import annotations

import json
import logging
import os
import sys
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from controlplane.options import LogFormat


class _TextFormatter(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s", "%Y-%m-%dT%H:%M:%S%z")

    def format(self, record: logging.LogRecord) -> str:
        return " ".join(super().format(record).splitlines())


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(
            {
                "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
                "level": record.levelname.lower(),
                "logger": record.name,
                "message": record.getMessage(),
            }
        )


class ProgressBar:
    """A bar on a terminal for synchronizations that take a while; nothing where there is none, and nothing for short ones."""

    _LEAST = 2000

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._what = ""

    def __call__(self, what: str, done: int, total: int) -> None:
        if what == "done":
            self._end()
            return
        if total < self._LEAST or not self._console.is_terminal:
            return
        if self._bar is None:
            self._bar = Progress(
                TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
                console=self._console, transient=True,
            )  # fmt: skip
            self._bar.start()
        if self._task is None or what != self._what:
            if self._task is not None:
                self._bar.remove_task(self._task)
            self._task, self._what = self._bar.add_task(what, total=total), what
        self._bar.update(self._task, completed=done, total=total)

    def _end(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = self._task = None


def set_up_logging(log_format: LogFormat, level: str, stream: TextIO | None = None) -> None:
    """Send the package's log lines to `stream`, standard error if None. With KULVERT_DEBUG=1 at debug level."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_JsonFormatter() if log_format is LogFormat.JSON else _TextFormatter())
    logger = logging.getLogger("controlplane")
    logger.handlers = [handler]
    logger.propagate = False
    logger.setLevel("DEBUG" if os.environ.get("KULVERT_DEBUG") == "1" else level.upper())
