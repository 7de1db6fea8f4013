"""The controller as a whole: `run` is what `kulvert controller` calls. All wiring is in `Controller.__init__`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal

import watchfiles

from controlplane import memory
from controlplane.attachments import AttachmentsError, load_attachments
from controlplane.health import HEALTH, METRICS, HealthServer
from controlplane.introspection import Introspection
from controlplane.kube.apiserver import ApiServerSource, ClusterAccessError
from controlplane.kube.events import EventRecorder
from controlplane.kube.folder import FolderSource
from controlplane.kube.store import Store
from controlplane.logs import ProgressBar, set_up_logging
from controlplane.metrics import Metrics
from controlplane.options import ControllerOptions, LogFormat, OptionsError, host_port
from controlplane.p4rt.session import SessionError, Target, Tls
from controlplane.pipeline import PipelineError, load_pipeline
from controlplane.reconcile import Reconciler
from controlplane.tracing import TracingError, make_spans

__all__ = ["Controller", "ControllerOptions", "LogFormat", "OptionsError", "run"]

log = logging.getLogger(__name__)

_ONCE_PATIENCE = 30.0
"""Seconds for which an API server may be away or refuse to answer, with `once`; otherwise it is waited for."""


class Controller:
    """Everything, put together from the options.

    Raises:
        OptionsError: something that the options name cannot be used.
    """

    def __init__(self, options: ControllerOptions) -> None:
        options.check()
        try:
            pipeline = load_pipeline(options.p4info, options.device_config)
            spans = make_spans(options.otlp_endpoint, options.node_name)
        except (PipelineError, TracingError) as error:
            raise OptionsError(str(error)) from None
        tls = None
        if options.tls_ca is not None:
            tls = Tls(options.tls_ca, options.tls_cert, options.tls_key, options.tls_server_name)
        target = Target(options.switch_address, options.device_id, options.election_id, tls)
        self._options = options
        self.store = Store()
        self.metrics = Metrics()
        self.reconciler = Reconciler(
            self.store,
            options.settings(),
            pipeline,
            target,
            self.metrics,
            options.batch_size,
            options.resync_seconds,
            options.can_modify,
            spans,
            options.revalidate_connections,
        )
        self.reconciler.on_settled = memory.settle
        self.events: EventRecorder | None = None
        self.source: FolderSource | ApiServerSource
        if options.manifests is not None:
            self.source = FolderSource(options.manifests, self.store)
            source = f"the folder {options.manifests}"
        else:
            self.source = ApiServerSource(self.store, options.kubeconfig, options.kube_context)
            if options.post_events:
                self.events = EventRecorder(self.source, options.node_name)
                self.reconciler.on_problems = self.source.on_problems = self.events.report
            source = f"the API server of {options.kubeconfig or 'the cluster this runs in'}"
        self.health = [
            (address, HealthServer(self.metrics.registry, self.reconciler.not_ready, paths))
            for address, paths in _served(options).items()
        ]
        self.introspection = Introspection(
            self.reconciler,
            self.store,
            (options.node_name, options.switch_address, options.device_id, source),
            lambda: self.source.errors,
        )
        if options.attachments is not None:
            try:
                self.reconciler.set_attachments(load_attachments(options.attachments))
            except AttachmentsError as error:
                raise OptionsError(str(error)) from None

    async def run(self, stop: asyncio.Event) -> int:
        """Run until `stop` (or, with `once`, until done); the exit code."""
        options = self._options
        tasks: list[asyncio.Task[None]] = []
        try:
            await self._start_servers()
            source_stop = asyncio.Event()
            tasks.append(asyncio.create_task(self.source.run(source_stop), name="source"))
            if options.attachments is not None and not options.once:
                tasks.append(asyncio.create_task(self._watch_attachments(source_stop), name="attachments"))
            if self.events is not None:
                tasks.append(asyncio.create_task(self.events.run(), name="events"))
            if options.once:
                tasks.append(asyncio.create_task(self._give_up_reading(), name="patience"))
            main = asyncio.create_task(self.reconciler.run(stop, options.once), name="reconciler")
            await asyncio.wait({main, *tasks}, return_when=asyncio.FIRST_COMPLETED)  # a source ends only by failing
            source_stop.set()
            for task in tasks:
                if task.done() and (failure := task.exception()) is not None:
                    main.cancel()
                    await asyncio.gather(main, return_exceptions=True)
                    raise failure
            await main
        except (SessionError, ClusterAccessError) as error:
            log.error("%s", error)
            return 1
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.reconciler.health_checks.close()
            await self.introspection.close()
            for _, server in self.health:
                await server.close()
        if options.once and (self.reconciler.problems or self.source.errors):
            return 1
        log.info("stopped; the switch keeps what it has")
        return 0

    async def _give_up_reading(self) -> None:
        """End, if there is something that cannot be read. Raises ClusterAccessError."""
        while True:
            await asyncio.sleep(_ONCE_PATIENCE)
            if not self.store.synced and self.store.unread:
                raise ClusterAccessError(self.reconciler.not_ready())

    async def _start_servers(self) -> None:
        """Open the sockets. Raises OptionsError."""
        address = ""
        try:
            for address, server in self.health:
                await server.start(*host_port(address))
            if self._options.control_socket is not None:
                address = str(self._options.control_socket)
                await self.introspection.start(self._options.control_socket)
        except OSError as error:
            raise OptionsError(f"cannot serve on {address}: {error.strerror or error}") from None

    async def _watch_attachments(self, stop: asyncio.Event) -> None:
        """Follow the attachments file. A version that cannot be used is reported, and the last good one stays."""
        path = self._options.attachments
        assert path is not None
        # The folder is watched, because editors and Kubernetes replace a file rather than write into it.
        async for changes in watchfiles.awatch(
            path.parent, stop_event=stop, debounce=200, step=20, recursive=False, rust_timeout=1000
        ):
            if path.name in {name.rpartition("/")[2] for _, name in changes} or path.is_symlink():
                try:
                    self.reconciler.set_attachments(load_attachments(path))
                except AttachmentsError as error:
                    log.error("%s; the last good version stays", error)


def _served(options: ControllerOptions) -> dict[str, frozenset[str]]:
    """Which paths are served on which address: one server may do for health and metrics."""
    served: dict[str, frozenset[str]] = {}
    for address, paths in ((options.healthz_bind_address, HEALTH), (options.metrics_bind_address, METRICS)):
        if address is not None:
            served[address] = served.get(address, frozenset()) | paths
    return served


async def _run(options: ControllerOptions) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):  # not in the main thread
            loop.add_signal_handler(number, stop.set)
    controller = Controller(options)
    controller.reconciler.show_progress(ProgressBar())
    return await controller.run(stop)


def run(options: ControllerOptions) -> int:
    """Run until SIGTERM or SIGINT (or, with `once`, until everything is written); the process's exit code.

    Raises:
        OptionsError: before anything is written; `str()` is one line for the user.
    """
    set_up_logging(options.log_format, options.log_level)
    memory.begin()
    return asyncio.run(_run(options))
