"""The controller's loop against a P4Runtime server in memory: start, restart, changes, faults, two controllers."""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import controlplane.reconcile as reconcile_module
from controlplane.addresses import parse_address
from controlplane.desired.entities import ActionProfileGroup, Entity
from controlplane.desired.inputs import Settings
from controlplane.kube.store import Store
from controlplane.metrics import Metrics
from controlplane.p4rt.allocate import Slot
from controlplane.p4rt.codec import Codec, WireEntity
from controlplane.p4rt.session import Session, SessionError, Target
from controlplane.pipeline import Pipeline
from controlplane.reconcile import Reconciler
from p4base.messages import p4r, rpc_code
from tests.controlplane.cluster import (
    NODE_NAME,
    endpoint,
    pod_value,
    policy_value,
    ref_of,
    service_value,
    slice_value,
    typed,
)
from tests.controlplane.fake_switch import FakeSwitch
from tests.controlplane.pipeline import make_pipeline

SHOP = [
    service_value(ports=[{"port": 80}, {"name": "dns", "port": 53, "protocol": "UDP"}]),
    slice_value(
        endpoints=["10.1.0.1", "10.1.0.2"], ports=[{"port": 8080}, {"name": "dns", "port": 53, "protocol": "UDP"}]
    ),
    pod_value("web", "10.1.0.1", {"app": "web"}, port=1),
    pod_value("db", "10.1.0.2", {"app": "db"}, port=2),
    policy_value(podSelector={"matchLabels": {"app": "db"}}, ingress=[{"from": [{"podSelector": {}}]}]),
]


PATIENCE_S = 60.0


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 5 * PATIENCE_S))


def make_store(values: list[dict[str, Any]]) -> Store:
    store = Store()
    for value in values:
        store.put(typed(value))
    store.mark_synced()
    return store


@asynccontextmanager
async def switch() -> AsyncIterator[FakeSwitch]:
    server = FakeSwitch()
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


def make_reconciler(
    server: FakeSwitch, store: Store, pipeline: Pipeline | None = None, election_id: int = 1
) -> Reconciler:
    return Reconciler(
        store,
        Settings(NODE_NAME),
        pipeline or make_pipeline(),
        Target(server.address, 0, election_id),
        Metrics(),
        batch_size=3,
    )


@asynccontextmanager
async def controller(
    server: FakeSwitch,
    store: Store,
    pipeline: Pipeline | None = None,
    election_id: int = 1,
    patience: float = PATIENCE_S,
) -> AsyncIterator[Reconciler]:
    """A running controller that has written everything once, if it could within `patience` seconds."""
    reconciler = make_reconciler(server, store, pipeline, election_id)
    stop = asyncio.Event()
    task = asyncio.create_task(reconciler.run(stop))
    waiting = asyncio.create_task(reconciler.synced.wait())
    try:
        await asyncio.wait({task, waiting}, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        yield reconciler
    finally:
        waiting.cancel()
        stop.set()
        await task


async def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"it did not come about in {PATIENCE_S} s"
        await asyncio.sleep(0.01)


def bodies(server: FakeSwitch) -> set[bytes]:
    return {entity.SerializeToString(deterministic=True) for entity in server.entities.values()}


async def settled(server: FakeSwitch, reconciler: Reconciler) -> None:
    """Wait until the switch holds exactly what is wanted."""

    def equal() -> bool:
        encode = reconciler.synchronizer.codec.encode
        return bodies(server) == {encode(entity).body for entity in reconciler.derivation.ledger}

    await asyncio.sleep(0)
    await until(lambda: reconciler.synced.is_set() and not len(reconciler._changes) and equal())


def test_what_cannot_be_read_is_why_it_is_not_ready() -> None:
    async def test() -> None:
        async with switch() as server:
            store = Store()
            store.unread["Pod"] = "pods: 403"
            reconciler = make_reconciler(server, store)
            assert reconciler.not_ready().endswith("; pods: 403")
            store.mark_synced()
            assert "pods" not in reconciler.not_ready() and reconciler.not_ready()

    run(test())


def test_everything_is_written_and_a_restart_writes_nothing() -> None:
    async def test() -> None:
        async with switch() as server:
            store = make_store(SHOP)
            async with controller(server, store) as reconciler:
                await settled(server, reconciler)
                assert server.pushes == 1 and server.entities
                assert not reconciler.problems and not reconciler.not_ready()
            batches = len(server.batches)
            for order in (SHOP, SHOP[::-1]):  # in whatever order the objects come
                async with controller(server, make_store(order)) as reconciler:
                    await settled(server, reconciler)
            assert server.pushes == 1
            assert len(server.batches) == batches

    run(test())


def test_a_change_writes_what_it_changes() -> None:
    async def test() -> None:
        async with switch() as server:
            store = make_store(SHOP)
            async with controller(server, store) as reconciler:
                await settled(server, reconciler)
                server.batches.clear()
                store.put(typed(slice_value(endpoints=["10.1.0.1"], ports=[{"port": 8080}])))
                await settled(server, reconciler)
                kinds = [(update.type, str(update.entity.WhichOneof("entity"))) for update in server.updates]
                # the UDP port loses both its endpoints, the TCP port one of two
                deleted = [kind for number, kind in kinds if number == p4r.Update.DELETE]
                assert sorted(deleted) == ["action_profile_group"] + 3 * ["action_profile_member"] + 3 * ["table_entry"]
                assert [number for number, _ in kinds].count(p4r.Update.MODIFY) == 2
                assert p4r.Update.INSERT not in [number for number, _ in kinds]

    run(test())


def test_make_before_break_whatever_the_server_does_inside_a_batch() -> None:
    """The server refuses what refers to nothing and the deletion of what is referred to, so getting through is the proof."""

    async def test() -> None:
        async with switch() as server:
            store = make_store(SHOP)
            async with controller(server, store) as reconciler:
                await settled(server, reconciler)
                for number in range(3, 12):  # a rolling update: one in, one out
                    store.put(typed(slice_value(endpoints=[f"10.1.0.{number}", f"10.1.0.{number + 1}"])))
                    await settled(server, reconciler)
                    assert not reconciler.problems
                store.remove(ref_of(SHOP[0]))
                await settled(server, reconciler)
            assert not server.table("service_endpoint_table")

    run(test())


def test_a_policy_change_is_one_switch_of_the_pods_entry_between_complete_policies() -> None:
    async def test() -> None:
        async with switch() as server:
            store = make_store(SHOP)
            async with controller(server, store) as reconciler:
                await settled(server, reconciler)
                server.batches.clear()
                rule = {
                    "from": [{"podSelector": {}}],
                    "ports": [{"port": 80}, {"port": 81}, {"port": 82}, {"port": 83}],
                }
                store.put(typed(policy_value(podSelector={"matchLabels": {"app": "db"}}, ingress=[rule])))
                await settled(server, reconciler)
            names = {table.preamble.id: table.preamble.alias for table in server.config.p4info.tables}
            order = [
                (p4r.Update.Type.Name(update.type), names[update.entity.table_entry.table_id])
                for update in server.updates
            ]
            modified = [number for number, (kind, _) in enumerate(order) if kind == "MODIFY"]
            # The one is for connections to the pod; the other for its answers, when live connections are judged anew.
            assert sorted(order[number][1] for number in modified) == ["destination_pod_table", "source_pod_table"]
            assert set(order[: modified[0]]) == {("INSERT", "ingress_policy_table")}
            assert set(order[modified[-1] + 1 :]) == {("DELETE", "ingress_policy_table")}

    run(test())


def test_a_drifted_switch_is_repaired_and_strangers_are_removed() -> None:
    async def test() -> None:
        async with switch() as server:
            store = make_store(SHOP)
            async with controller(server, store) as reconciler:
                await settled(server, reconciler)
            wanted = bodies(server)
            keys = list(server.entities)
            for key in keys[::7]:
                del server.entities[key]
            entry = next(item for item in server.entities.values() if item.HasField("table_entry"))
            stranger = p4r.Entity()
            stranger.CopyFrom(entry)
            stranger.table_entry.match[0].exact.value = b"\x01\xee"
            server.entities[server._key(stranger)] = stranger
            async with controller(server, store) as reconciler:
                await settled(server, reconciler)
            assert bodies(server) == wanted

    run(test())


def test_answers_that_contradict_the_read_back_are_not_errors() -> None:
    async def test() -> None:
        async with switch() as server:
            store = make_store(SHOP)
            async with controller(server, store) as reconciler:
                await settled(server, reconciler)
                # behind the controller's back: what it will modify is gone, what it will delete is gone
                for key, entity in list(server.entities.items()):
                    if entity.HasField("table_entry"):
                        del server.entities[key]
                reconciler.synced.clear()
                store.put(typed(slice_value(endpoints=["10.1.0.3"])))
                await reconciler.synced.wait()
                assert not reconciler.problems
                # the frontend of the port that has no endpoint any more was to be modified, and is there again
                assert [len(entry.action.action.params) for entry in server.table("service_frontend_table")] == [0]

    run(test())


def test_what_is_there_already_is_made_right_and_no_error() -> None:
    async def test() -> None:
        async with switch() as server:
            late = [service_value("late", ["10.96.0.77"]), slice_value("late", ["10.1.0.7"])]
            async with controller(server, make_store([*SHOP, *late])) as reconciler:
                await settled(server, reconciler)
            there = dict(server.entities)
            store = make_store(SHOP)
            async with controller(server, store) as reconciler:
                await settled(server, reconciler)
                for key, entity in there.items():  # behind the controller's back
                    server.entities.setdefault(key, entity)
                reconciler.synced.clear()
                for value in late:
                    store.put(typed(value))
                await settled(server, reconciler)
                assert not reconciler.problems and bodies(server) == {
                    entity.SerializeToString(deterministic=True) for entity in there.values()
                }

    run(test())


def test_what_does_not_fit_is_named_the_rest_works_and_room_is_used_when_there_is_some() -> None:
    async def test() -> None:
        async with switch() as server:
            store = make_store([service_value(f"s{number}", [f"10.96.0.{number}"]) for number in range(1, 6)])
            pipeline = make_pipeline({"service_frontend_table": 3})
            async with controller(server, store, pipeline) as reconciler:
                await until(lambda: len(server.table("service_frontend_table")) == 3)
                problems = sorted(str(problem) for problem in reconciler.problems)
                assert len(problems) == 2
                assert all("does not fit" in text and text.startswith("Service/shop/s") for text in problems)
                assert "service_frontend_table" in problems[0] and "10.96.0." in problems[0]
                assert len(server.table("service_address_table")) == 5
                store.remove(ref_of(service_value("s1")))
                store.remove(ref_of(service_value("s2")))
                await until(lambda: not reconciler.problems)
                assert len(server.table("service_frontend_table")) == 3

    run(test())


def test_a_full_table_makes_other_changes_no_dearer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundreds of entries wait for room: a change elsewhere does not look at them, and one that makes room looks at as many as fit."""
    encoded: list[object] = []
    encode = Codec.encode

    def counting(self: Codec, entity: Entity, slots: list[Slot] | None = None) -> WireEntity:
        encoded.append(entity)
        return encode(self, entity, slots)

    # No entry that waits is tried again on the way, however long that takes.
    monkeypatch.setattr(reconcile_module, "_FIRST_RETRY", 10 * PATIENCE_S)

    async def test() -> None:
        async with switch() as server:
            store = make_store([service_value(f"s{number}", [f"10.96.1.{number}"]) for number in range(1, 200)])
            async with controller(server, store, make_pipeline({"service_frontend_table": 3})) as reconciler:
                problems = reconciler.problems
                assert len(problems) == 196
                monkeypatch.setattr(Codec, "encode", counting)
                reconciler.synced.clear()
                store.put(typed(pod_value("p", "10.1.0.9", port=9)))
                await reconciler.synced.wait()
                assert 3 <= len(encoded) < 10
                assert reconciler.problems is problems, "nor is what is wrong put together again"
                encoded.clear()
                installed = {
                    int.from_bytes(item.match[0].exact.value, "big") for item in server.table("service_frontend_table")
                }
                for number in range(1, 200):
                    if parse_address(f"10.96.1.{number}") in installed:
                        store.remove(ref_of(service_value(f"s{number}")))
                        break
                await until(lambda: len(reconciler.problems) == 195)
                assert len(server.table("service_frontend_table")) == 3
                assert len(encoded) < 10

    run(test())


def test_a_group_with_more_endpoints_than_the_switch_holds_is_named_and_its_service_rejects() -> None:
    async def test() -> None:
        async with switch() as server:
            many = slice_value(endpoints=[f"10.1.0.{number}" for number in range(1, 6)])
            store = make_store([service_value(), many, service_value("b", ["10.96.0.2"]), slice_value("b")])
            async with controller(server, store, make_pipeline({"max_group_size": 4})) as reconciler:
                assert {str(problem.ref) for problem in reconciler.problems} == {"Service/shop/web"}
                assert len(server.table("service_endpoint_table")) == 1
                store.put(typed(slice_value(endpoints=["10.1.0.1"])))
                await until(lambda: not reconciler.problems)
                assert len(server.table("service_endpoint_table")) == 2

    run(test())


def test_a_refused_update_is_reported_and_tried_again() -> None:
    async def test() -> None:
        async with switch() as server:
            refusing = True

            def refuse(update: p4r.Update) -> tuple[int, str] | None:
                if refusing and update.entity.table_entry.priority:
                    return rpc_code.RESOURCE_EXHAUSTED, "no room in the TCAM"
                return None

            server.refuse = refuse
            async with controller(server, make_store(SHOP)) as reconciler:
                assert {str(problem.ref) for problem in reconciler.problems} == {"NetworkPolicy/shop/policy"}
                assert all("no room in the TCAM" in problem.message for problem in reconciler.problems)
                assert server.table("destination_pod_table"), "the rest works"
                refusing = False
                await until(lambda: not reconciler.problems)
                await settled(server, reconciler)

    run(test())


def test_a_pipeline_that_lacks_a_table_is_named_and_the_rest_works() -> None:
    async def test() -> None:
        pipeline = make_pipeline()
        info = pipeline.config.p4info
        del info.tables[[table.preamble.alias for table in info.tables].index("uplink_source_table")]
        from p4base.lookup import P4InfoIndex

        async with (
            switch() as server,
            controller(server, make_store(SHOP), Pipeline(P4InfoIndex(info), pipeline.config)) as reconciler,
        ):
            batches = len(server.batches)
            async with controller(
                server, make_store(SHOP), Pipeline(P4InfoIndex(info), pipeline.config), election_id=2
            ):
                assert len(server.batches) == batches, "the numbers of all the rest are recovered"
            assert {str(problem.ref) for problem in reconciler.problems} == {"Pod/shop/web", "Pod/shop/db"}
            assert all("uplink_source_table" in problem.message for problem in reconciler.problems)
            assert len(server.table("source_pod_table")) == 2

    run(test())


def test_another_pipeline_is_replaced() -> None:
    async def test() -> None:
        async with switch() as server:
            async with controller(server, make_store(SHOP)):
                pass
            async with controller(server, make_store(SHOP), make_pipeline(cookie=8)) as reconciler:
                await settled(server, reconciler)
            assert server.pushes == 2

    run(test())


def test_a_pipeline_replaced_behind_the_controllers_back_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconcile_module, "_BEAT_SECONDS", 0.05)

    async def test() -> None:
        async with switch() as server, controller(server, make_store(SHOP)) as reconciler:
            await settled(server, reconciler)
            server.config = p4r.ForwardingPipelineConfig(p4info=server.config.p4info)
            server.entities.clear()
            await until(lambda: server.pushes == 2)
            await settled(server, reconciler)

    run(test())


def test_a_switch_that_restarts_empty_is_filled_again() -> None:
    async def test() -> None:
        async with switch() as server:
            store = make_store(SHOP)
            async with controller(server, store) as reconciler:
                await settled(server, reconciler)
                wanted = bodies(server)
                await server.stop()
                await until(lambda: bool(reconciler.not_ready()))
                store.put(typed(service_value("late", ["10.96.0.77"])))
                server.entities.clear()
                server.config = p4r.ForwardingPipelineConfig()
                await server.start(server.port)
                await until(reconciler.synced.is_set)
                await settled(server, reconciler)
                assert wanted < bodies(server)

    run(test())


def test_a_stream_cut_in_the_middle_of_a_sync_is_gone_on_from() -> None:
    async def test() -> None:
        async with switch() as server:
            server.cut_after = 4
            async with controller(server, make_store(SHOP), patience=0.0) as reconciler:
                await until(lambda: len(server.batches) == 4)
                assert not reconciler.synced.is_set()
                server.cut_after = None
                await settled(server, reconciler)

    run(test())


def test_it_ends_also_when_a_cancellation_gets_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconcile_module, "_CANCEL_AGAIN_SECONDS", 0.01)

    async def test() -> None:
        async with switch() as server:
            reconciler = make_reconciler(server, make_store(SHOP))
            serve = reconciler._serve

            async def deaf_once(session: Session, once: bool) -> None:
                try:
                    await serve(session, once)
                except asyncio.CancelledError:
                    await serve(session, once)

            monkeypatch.setattr(reconciler, "_serve", deaf_once)
            stop = asyncio.Event()
            task = asyncio.create_task(reconciler.run(stop))
            await asyncio.wait_for(reconciler.synced.wait(), PATIENCE_S)
            stop.set()
            await asyncio.wait_for(task, PATIENCE_S)

    run(test())


def test_one_of_two_controllers_writes_and_the_other_takes_over() -> None:
    async def test() -> None:
        async with switch() as server:
            store = make_store(SHOP)
            second = make_reconciler(server, store, election_id=4)
            stop = asyncio.Event()
            async with controller(server, store, election_id=5) as first:
                await settled(server, first)
                waiting = asyncio.create_task(second.run(stop))
                await until(lambda: "another controller" in second.not_ready())
                store.put(typed(service_value("new", ["10.96.0.50"])))
                await until(lambda: len(server.table("service_address_table")) == 2)
                await settled(server, first)
                assert not second.synced.is_set()
            batches = len(server.batches)
            await asyncio.wait_for(second.synced.wait(), PATIENCE_S)
            await settled(server, second)
            assert len(server.batches) == batches, "it takes over what is there"
            stop.set()
            await waiting

    run(test())


def test_a_lost_primacy_stops_the_writes_at_once() -> None:
    async def test() -> None:
        async with switch() as server:
            store = make_store([service_value(f"s{number}", [f"10.96.0.{number}"]) for number in range(1, 50)])
            written_by_loser = 0

            def usurp(number: int) -> None:
                nonlocal written_by_loser
                if number == 2:
                    server.highest = server.primary = 99
                    server.streams[99] = asyncio.Queue()
                    server.notify()
                if server.primary == 99:
                    written_by_loser += 1

            server.before_write = usurp
            reconciler = make_reconciler(server, store)
            stop = asyncio.Event()
            task = asyncio.create_task(reconciler.run(stop))
            await until(lambda: "another controller" in reconciler.not_ready())
            assert written_by_loser <= 2
            del server.streams[99]
            server.primary = 0
            server.notify()
            await asyncio.wait_for(reconciler.synced.wait(), PATIENCE_S)
            await settled(server, reconciler)
            stop.set()
            await task

    run(test())


def test_once_says_what_is_wrong() -> None:
    async def test() -> None:
        reconciler = Reconciler(
            make_store(SHOP), Settings(NODE_NAME), make_pipeline(), Target("127.0.0.1:1", 0, 1), Metrics()
        )
        with pytest.raises(SessionError, match=r"cannot reach the switch at 127\.0\.0\.1:1"):
            await reconciler.run(asyncio.Event(), once=True)

    import controlplane.p4rt.connection as connection_module

    before = connection_module.CONNECT_SECONDS
    connection_module.CONNECT_SECONDS = 0.3
    try:
        run(test())
    finally:
        connection_module.CONNECT_SECONDS = before


steps = st.lists(
    st.tuples(st.sampled_from(["endpoints", "policy", "pod", "restart", "drift", "cut", "refuse"]), st.integers(0, 4)),
    min_size=1,
    max_size=8,
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps)
def test_installed_equals_desired_after_random_faults(history: list[tuple[str, int]]) -> None:
    async def test() -> None:
        async with switch() as server:
            store = make_store(SHOP)
            import contextlib

            async with contextlib.AsyncExitStack() as stack:
                reconciler = await stack.enter_async_context(controller(server, store, patience=0.2))
                for what, number in history:
                    match what:
                        case "endpoints":
                            given_ = [
                                endpoint(f"10.1.0.{index}", index % 2 == 1, True, True) for index in range(number)
                            ]
                            store.put(typed(slice_value(endpoints=given_)))
                        case "policy":
                            store.put(typed(policy_value(ingress=[{"ports": [{"port": number + 1}]}] * (number % 2))))
                        case "pod":
                            store.put(typed(pod_value("web", f"10.1.0.{number + 1}", {"app": f"v{number}"}, port=1)))
                        case "restart":
                            await stack.aclose()
                            reconciler = await stack.enter_async_context(controller(server, store, patience=0.2))
                        case "drift":
                            for key in list(server.entities)[:: number + 2]:
                                del server.entities[key]
                            await stack.aclose()
                            reconciler = await stack.enter_async_context(controller(server, store, patience=0.2))
                        case "cut":
                            server.cut_after = number
                        case "refuse":
                            left = [number]

                            def refuse(update: p4r.Update, left: list[int] = left) -> tuple[int, str] | None:
                                left[0] -= 1
                                return (rpc_code.INTERNAL, "odd") if left[0] == 0 else None

                            server.refuse = refuse
                    await asyncio.sleep(0.005 * number)
                server.cut_after = None
                server.refuse = lambda update: None
                await settled(server, reconciler)
                groups = [item for item in reconciler.derivation.ledger if isinstance(item, ActionProfileGroup)]
                assert all(group.members for group in groups)

    run(test())


def test_churn_leaves_nothing_behind() -> None:
    """Endpoints that come and go, each but once: after a hundred rounds there is no more in memory than after twenty."""

    async def test() -> None:
        async with switch() as server:
            store = make_store(SHOP)
            async with controller(server, store) as reconciler:
                await settled(server, reconciler)
                blocks = []
                for number in range(240):
                    address = f"10.2.{number // 250}.{number % 250 + 1}"
                    ports: list[dict[str, Any]] = [{"port": 8080}, {"name": "dns", "port": 53, "protocol": "UDP"}]
                    reconciler.synced.clear()
                    store.put(typed(slice_value(endpoints=[address, "10.1.0.2"], ports=ports)))
                    await reconciler.synced.wait()
                    server.batches.clear()
                    if number in (40, 140, 239):
                        gc.collect()
                        blocks.append(sys.getallocatedblocks())
                # What is kept of a round is kept of each; other threads' blocks come once.
                assert min(blocks[1] - blocks[0], blocks[2] - blocks[1]) < 50, blocks

    run(test())
