"""A switch that does not take MODIFY: everything gets there all the same, in an order that a strict switch takes."""

from __future__ import annotations

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.desired.inputs import Settings
from controlplane.kube.store import Store
from controlplane.metrics import Metrics
from controlplane.p4rt.session import Target
from controlplane.reconcile import Reconciler
from p4base.messages import p4r, rpc_code
from tests.controlplane.cluster import NODE_NAME, pod_value, policy_value, service_value, slice_value, typed
from tests.controlplane.fake_switch import FakeSwitch
from tests.controlplane.pipeline import make_pipeline
from tests.controlplane.test_reconcile import SHOP, run, settled, switch


def _refuse_modify(update: p4r.Update) -> tuple[int, str] | None:
    return (rpc_code.UNIMPLEMENTED, "no MODIFY") if update.type == p4r.Update.MODIFY else None


async def _follow(server: FakeSwitch, store: Store, history: list[object]) -> None:
    reconciler = Reconciler(
        store,
        Settings(NODE_NAME),
        make_pipeline(),
        Target(server.address, 0),
        Metrics(),
        batch_size=3,
        can_modify=False,
    )
    stop = asyncio.Event()
    task = asyncio.create_task(reconciler.run(stop))
    try:
        await settled(server, reconciler)
        for obj in history:
            store.put(obj)  # type: ignore[arg-type]
            await settled(server, reconciler)
            assert not reconciler.problems
    finally:
        stop.set()
        await task


changes = st.one_of(
    st.builds(
        lambda numbers: slice_value(
            endpoints=[f"10.1.0.{number}" for number in sorted(numbers)], ports=[{"port": 8080}]
        ),
        st.sets(st.integers(1, 5), max_size=4),
    ),
    st.builds(
        lambda app, port: policy_value(
            podSelector={"matchLabels": {"app": app}}, ingress=[{"ports": [{"port": port}]}]
        ),
        st.sampled_from(["web", "db"]),
        st.integers(1, 3),
    ),
    st.builds(lambda port: pod_value("web", "10.1.0.1", {"app": "web"}, port=port), st.sampled_from([1, 3])),
    st.builds(lambda ip: service_value(ips=[ip]), st.sampled_from(["10.96.0.10", "10.96.0.11"])),
)


@settings(max_examples=12, deadline=None)
@given(st.lists(changes.map(typed), min_size=1, max_size=5))
def test_everything_gets_there_without_modify(history: list[object]) -> None:
    """The server refuses MODIFY, references to nothing, and deleting what is referred to: getting through is the proof."""

    async def test() -> None:
        async with switch() as server:
            server.refuse = _refuse_modify
            store = Store()
            for value in SHOP:
                store.put(typed(value))
            store.mark_synced()
            await _follow(server, store, history)

    run(test())


def test_a_restart_with_nothing_changed_writes_nothing() -> None:
    async def test() -> None:
        async with switch() as server:
            server.refuse = _refuse_modify
            for _ in range(2):
                store = Store()
                for value in SHOP:
                    store.put(typed(value))
                store.mark_synced()
                await _follow(server, store, [])
                batches = len(server.batches)
            assert len(server.batches) == batches > 0 and server.pushes == 1
            first = len(server.batches)
            store = Store()
            for value in SHOP:
                store.put(typed(value))
            store.mark_synced()
            await _follow(server, store, [])
            assert len(server.batches) == first

    run(test())
