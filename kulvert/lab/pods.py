"""The lab's handle on the agent in a pod's network namespace."""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
import sys
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar

import msgspec

from kulvert.lab.messages import Answer, Call, Failed, Reply, Request

R = TypeVar("R")

_CALL_SECONDS = 120.0
"""For a reply; what a request itself waits for is in it."""


class AgentError(Exception):
    """An agent failed at something that should work. `str()` names the pod."""


class PodAgent:
    """A running agent. Calls may be made from any thread."""

    def __init__(self, name: str, namespace: Path) -> None:
        self.name = name
        self.namespace = namespace
        command = [sys.executable, "-m", "kulvert.lab.agent", "--name", name, "--netns", str(namespace)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True, env={**os.environ}
        )
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._pending: dict[int, Future[Reply]] = {}
        threading.Thread(target=self._read_answers, daemon=True).start()

    def submit(self, request: Request) -> Future[Reply]:
        """Send `request`; the future has its reply. Raises AgentError if the agent has gone."""
        future: Future[Reply] = Future()
        with self._lock:
            number = next(self._numbers)
            self._pending[number] = future
            assert self._process.stdin is not None
            try:
                self._process.stdin.write(msgspec.json.encode(Call(number, request)) + b"\n")
                self._process.stdin.flush()
            except (BrokenPipeError, ValueError) as error:
                raise AgentError(f"pod {self.name}: its agent has ended") from error
        return future

    def call(self, request: Request, expected: type[R], timeout: float = _CALL_SECONDS) -> R:
        """Send `request`, wait for its reply, which must be an `expected`. Raises AgentError."""
        return self.wait(self.submit(request), expected, timeout)

    def wait(self, future: Future[Reply], expected: type[R], timeout: float = _CALL_SECONDS) -> R:
        """The reply of `submit`'s future, which must be an `expected`. Raises AgentError."""
        try:
            reply = future.result(timeout)
        except TimeoutError as error:
            raise AgentError(f"pod {self.name}: no answer within {timeout:g} s") from error
        if isinstance(reply, Failed):
            raise AgentError(f"pod {self.name}: {reply.error}")
        if not isinstance(reply, expected):
            raise AgentError(f"pod {self.name}: answered {reply!r}, expected {expected.__name__}")
        return reply

    def stop(self) -> None:
        """End the agent."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        try:
            self._process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _read_answers(self) -> None:
        assert self._process.stdout is not None
        decoder = msgspec.json.Decoder(Answer)
        for line in self._process.stdout:
            answer = decoder.decode(line)
            with self._lock:
                future = self._pending.pop(answer.number, None)
            if future is not None:
                future.set_result(answer.reply)
        with self._lock:
            orphans, self._pending = list(self._pending.values()), {}
        for future in orphans:
            future.set_exception(AgentError(f"pod {self.name}: its agent has ended"))
