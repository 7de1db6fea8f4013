"""Keeps the switch as the cluster wants it: connect, read back, difference, write; then follow the changes.

Start, restart, reconnect, a new primary and a drifted table are one path. Everything runs on one event loop: the work is
short or waiting, long derivations are done in slices between which the stream is read, so a lost primacy stops the writes at the next
batch; and nothing needs a lock.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable

import msgspec

from controlplane.attachments import Attachments
from controlplane.desired.derive import Derivation
from controlplane.desired.inputs import Problem, Settings
from controlplane.health_checks import HealthCheckServers
from controlplane.kube.objects import ObjectRef
from controlplane.kube.store import Store
from controlplane.metrics import Metrics
from controlplane.p4rt.revalidation import draw_generation
from controlplane.p4rt.secrets import draw_secrets
from controlplane.p4rt.session import NotPrimaryError, Session, SessionError, Target
from controlplane.p4rt.synchronize import Synchronizer, Written
from controlplane.pipeline import Pipeline
from controlplane.tracing import SpanMaker, no_span

log = logging.getLogger(__name__)

_SLICE = 200
"""Rules run between two looks at the event loop: some milliseconds."""

_FIRST_BACKOFF, _LAST_BACKOFF = 0.2, 2.0
"""Seconds between attempts to connect. The last is short: a backup must take over within 5 s."""

_BEAT_SECONDS = 10.0
"""How often the switch is asked for its pipeline's cookie: is it there, and is it still ours?"""

_FIRST_RETRY, _LAST_RETRY = 1.0, 60.0
"""Seconds until what the switch refused is tried again."""

_CANCEL_AGAIN_SECONDS = 1.0
"""A cancellation that has not ended its task by then was lost: a library's `wait_for` does that in Python 3.11."""


Progress = Callable[[str, int, int], None]
"""What is being done, how much of it, of how much."""


class LastSync(msgspec.Struct, frozen=True):
    """The last synchronization that wrote something or compared everything. `at` is of `time.time`."""

    kind: str
    at: float
    seconds: float
    written: Written


class Reconciler:
    """The controller's loop. `run` is its life; the rest is for the sources, the health server and tests."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        pipeline: Pipeline,
        target: Target,
        metrics: Metrics,
        batch_size: int = 1000,
        resync_seconds: float = 0.0,
        can_modify: bool = True,
        span: SpanMaker = no_span,
        revalidate: bool = False,
    ) -> None:
        self._store = store
        self._pipeline = pipeline
        self._target = target
        self._metrics = metrics
        self._resync_seconds = resync_seconds
        self.derivation = Derivation(settings)
        self.synchronizer = Synchronizer(pipeline.index, self.derivation.ledger, batch_size, can_modify)
        self._span = span
        self._revalidate = revalidate
        self._is_revalidation_due = revalidate  # whoever was here before may not have come to it
        self._changes = store.follow()
        self._attachments: Attachments | None = None
        self._woken = asyncio.Event()
        self._node = ObjectRef("Node", "", settings.node_name)
        self._problem_parts: tuple[frozenset[Problem], ...] = (frozenset(), frozenset())
        self._problems: frozenset[Problem] = frozenset()
        self._reported: frozenset[Problem] = frozenset()
        self._last_error = ""
        self._not_ready = "not connected to the switch yet"
        self.is_primary = False
        self.last_sync: LastSync | None = None
        self.health_checks = HealthCheckServers()
        self.on_progress: Progress = lambda what, done, total: None
        self.on_settled: Callable[[], None] = lambda: None
        """Called when a full synchronization is over."""

        self.on_problems: Callable[[list[tuple[ObjectRef, str]]], None] = lambda problems: None
        """Told of what has become wrong."""

        self.synced = asyncio.Event()
        """Set while the switch holds all that could be written of what was known."""

    # -- for others

    def show_progress(self, progress: Progress) -> None:
        """Have `progress` told how far a synchronization is."""
        self.on_progress = self.synchronizer.on_progress = progress

    def set_attachments(self, attachments: Attachments) -> None:
        """Where the ports lead from now on."""
        self._attachments = attachments
        self._woken.set()

    def not_ready(self) -> str:
        """Why the controller is not ready; "" if it is."""
        if self._store.synced:
            return self._not_ready
        return "; ".join(("not all of Kubernetes' state has been read yet", *self._store.unread.values()))

    @property
    def problems(self) -> frozenset[Problem]:
        """Everything known to be wrong: with objects, and with what did not fit."""
        parts = (self.derivation.problems, self.synchronizer.problems)
        if parts[0] is not self._problem_parts[0] or parts[1] is not self._problem_parts[1]:
            self._problem_parts, self._problems = parts, parts[0] | parts[1]
        return self._problems

    @property
    def pending(self) -> int:
        """Objects that have changed and were not looked at yet."""
        return len(self._changes)

    def _set_primary(self, is_primary: bool) -> None:
        self.is_primary = is_primary
        self._metrics.primary.set(is_primary)

    # -- life

    async def run(self, stop: asyncio.Event, once: bool = False) -> None:
        """Serve the switch until `stop`; with `once`, until everything is written.

        Raises:
            SessionError: with `once` only; otherwise it is logged and tried again.
        """
        stopping = asyncio.create_task(stop.wait())
        waiting = asyncio.create_task(self._store.wait_synced())
        await asyncio.wait({stopping, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        backoff = _FIRST_BACKOFF
        while not stop.is_set():
            serving = asyncio.create_task(self._connect(once))
            await asyncio.wait({stopping, serving}, return_when=asyncio.FIRST_COMPLETED)
            if not serving.done():
                await _end(serving)
                return
            self.synced.clear()
            self._set_primary(False)
            error = serving.exception()
            if error is None:
                return
            if once or not isinstance(error, SessionError):
                raise error
            self._not_ready = str(error)
            if self._not_ready != self._last_error:
                log.error("%s; trying again", error)
                self._last_error = self._not_ready
                backoff = _FIRST_BACKOFF
            await asyncio.wait({stopping}, timeout=backoff * random.uniform(0.8, 1.2))
            backoff = min(2 * backoff, _LAST_BACKOFF)
        stopping.cancel()

    async def _connect(self, once: bool) -> None:
        async with Session(self._target) as session:
            self._metrics.connects.inc()
            while True:
                try:
                    await self._serve(session, once)
                    return
                except NotPrimaryError as error:
                    self.synced.clear()
                    self._set_primary(False)
                    if once:
                        raise
                    await asyncio.sleep(0.1)  # the stream may be about to say the same
                    if session.is_primary:
                        raise SessionError(f"{error}, although the stream says primary") from None
                    log.warning("%s", error)

    async def _write_secrets(self, session: Session) -> None:
        """While the switch has no connections yet that a new hash would lose."""
        updates = draw_secrets(self._pipeline.index)
        for refusal in await session.write(updates) if updates else ():
            if refusal is not None:
                log.warning("the switch keeps the program's own hash key, which is no secret: %s", refusal)

    async def _revalidate_connections(self, session: Session, written: Written) -> None:
        """After policies have changed, if live connections are to follow them."""
        self._is_revalidation_due |= self._revalidate and written.policies > 0
        if not self._is_revalidation_due:
            return
        updates = draw_generation(self._pipeline.index)
        if not updates:
            log.warning("the pipeline cannot revalidate connections: those that are there outlive a change of policies")
        for refusal in await session.write(updates) if updates else ():
            if refusal is not None:
                log.warning("live connections are not looked at anew: %s", refusal)
        self._is_revalidation_due = False

    async def _serve(self, session: Session, once: bool) -> None:
        """From becoming primary to ceasing to be."""
        while not session.is_primary:
            if session.lost is not None:
                raise SessionError(session.lost)
            if once:
                raise NotPrimaryError("another controller is primary for this switch")
            self._not_ready = "another controller is primary"
            await session.wait()
        session.changed.clear()
        self._set_primary(True)
        cookie = await session.pipeline_cookie()
        if cookie != self._pipeline.cookie:
            log.info("the switch has %s: pushing it", "no pipeline" if cookie is None else "another pipeline")
            await session.push_pipeline(self._pipeline.config)
            await self._write_secrets(session)
        await self._synchronize_all(session, "full")
        self._last_error = ""
        if once:
            return
        self.on_settled()
        retry_at, retry_delay = self._plan_retry(_FIRST_RETRY)
        resync_at = self._plan_resync()
        beat_at = time.monotonic() + _BEAT_SECONDS
        while True:
            await self._wait(session, min(retry_at, resync_at, beat_at))
            if session.lost is not None:
                raise SessionError(session.lost)
            if not session.is_primary:
                raise NotPrimaryError("this controller is no longer primary: nothing is written until it is again")
            now = time.monotonic()
            if now >= resync_at:
                await self._synchronize_all(session, "resync")
                self.on_settled()
                resync_at = self._plan_resync()
                continue
            if now >= beat_at:
                if await session.pipeline_cookie() != self._pipeline.cookie:
                    raise SessionError("somebody has replaced the switch's pipeline")
                beat_at = time.monotonic() + _BEAT_SECONDS
            retry = now >= retry_at
            await self._synchronize(session, retry)
            if retry or not self.synchronizer.has_failures:
                retry_at, retry_delay = self._plan_retry(min(2 * retry_delay, _LAST_RETRY) if retry else _FIRST_RETRY)
            elif retry_at == float("inf"):
                retry_at, retry_delay = self._plan_retry(_FIRST_RETRY)

    def _plan_retry(self, delay: float) -> tuple[float, float]:
        return (time.monotonic() + delay if self.synchronizer.has_failures else float("inf")), delay

    def _plan_resync(self) -> float:
        return time.monotonic() + self._resync_seconds if self._resync_seconds else float("inf")

    async def _wait(self, session: Session, until: float) -> None:
        """Return when there is something to do, or at `until`."""
        if len(self._changes) or self._woken.is_set() or session.changed.is_set():
            session.changed.clear()
            return
        tasks = {
            asyncio.create_task(self._changes.wait()),
            asyncio.create_task(self._woken.wait()),
            asyncio.create_task(session.changed.wait()),
        }
        timeout = None if until == float("inf") else max(0.0, until - time.monotonic())
        try:
            await asyncio.wait(tasks, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
        session.changed.clear()

    # -- work

    async def _derive(self) -> None:
        """Bring the ledger up to date with the store."""
        if self._woken.is_set():
            self._woken.clear()
            if self._attachments is not None:
                self.derivation.set_attachments(self._attachments)
        changed = self._changes.take()
        for number, ref in enumerate(changed):
            self.derivation.apply(ref, self._store.get(ref))
            if number % 1000 == 999:
                await asyncio.sleep(0)
        started = self.derivation.engine.runs
        while not self.derivation.step(_SLICE):
            done = self.derivation.engine.runs - started
            self.on_progress("deriving", min(done, len(changed)), len(changed))
            await asyncio.sleep(0)
        if self.derivation.health_checks.has_changed:
            await self.health_checks.apply(self.derivation.health_checks.take())

    async def _synchronize_all(self, session: Session, kind: str) -> None:
        self._not_ready = self._not_ready or ""
        started = time.monotonic()
        await self._derive()
        self.derivation.take_changes()  # the whole ledger is compared
        with self._span(f"synchronize {kind}"):
            written = await self.synchronizer.synchronize_all(session)
            await self._revalidate_connections(session, written)
        seconds = time.monotonic() - started
        self.on_progress("done", 0, 0)
        self._book(written, seconds, kind)
        if kind == "full" and self._store.get(self._node) is None:
            log.warning(
                "%s is not known: without its addresses, policies hold for the node's own traffic too", self._node
            )
        if kind == "full" or written.total:
            log.info("the switch is in step: %d entities, %s, in %.2f s", self.synchronizer.installed, written, seconds)

    async def _synchronize(self, session: Session, retry: bool) -> None:
        started = time.monotonic()
        await self._derive()
        changes = self.derivation.take_changes()
        if changes or retry:
            with self._span("synchronize change", entries=len(changes)):
                written = await self.synchronizer.synchronize(changes, session, retry)
                await self._revalidate_connections(session, written)
            seconds = time.monotonic() - started
            if written.total:
                log.info("%s, in %.1f ms", written, seconds * 1000)
            self._book(written, seconds, "change")
        else:
            self._book(Written(), None, "change")

    def _book(self, written: Written, seconds: float | None, kind: str) -> None:
        if seconds is not None:
            self._metrics.sync_seconds.labels(kind).observe(seconds)
            if written.total or kind != "change":
                self.last_sync = LastSync(kind, time.time(), seconds, written)
        for name, count in (("insert", written.inserted), ("modify", written.modified), ("delete", written.deleted)):
            if count:
                self._metrics.updates.labels(name).inc(count)
        self._metrics.objects.set(len(self._store))
        self._metrics.pending.set(len(self._changes))
        for table, entries, capacity in self.synchronizer.occupancy():
            self._metrics.entries.labels(table).set(entries)
            self._metrics.capacity.labels(table).set(capacity)
        self._report(self.problems)
        self._not_ready = ""
        if not len(self._changes) and not self._woken.is_set():
            self.synced.set()

    def _report(self, now: frozenset[Problem]) -> None:
        """Log what has become wrong, and what is no longer."""
        if now is self._reported:
            return
        self._metrics.problems.set(len(now))
        begun = sorted(now - self._reported)
        for problem in begun:
            log.error("%s", problem)
        if begun:
            self.on_problems([(problem.ref, problem.message) for problem in begun])
        for problem in sorted(self._reported - now):
            log.info("no longer wrong: %s", problem)
        self._reported = now


async def _end(task: asyncio.Task[None]) -> None:
    """Cancel until it has ended."""
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=_CANCEL_AGAIN_SECONDS)
