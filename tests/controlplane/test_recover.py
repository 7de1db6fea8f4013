"""Numbers after a restart, where every symbol wants the same few: nothing is written, and nothing changes its meaning."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controlplane.desired.symbols import Symbol
from controlplane.p4rt.allocate import Space
from p4base.messages import p4r
from tests.controlplane.cluster import pod_value, policy_value, ref_of, service_value, slice_value
from tests.controlplane.fake_switch import FakeSwitch
from tests.controlplane.test_reconcile import bodies, controller, make_store, run, settled, switch

UDP = {"port": 53, "protocol": "UDP"}


def service_objects(number: int, endpoints: set[int]) -> list[dict[str, Any]]:
    return [
        service_value(f"s{number}", [f"10.96.0.{number}"], [UDP], sessionAffinity="ClientIP"),
        slice_value(f"s{number}", [f"10.{number}.0.{item}" for item in sorted(endpoints)], [UDP]),
    ]


def pod_objects(number: int, app: str) -> list[dict[str, Any]]:
    return [
        pod_value(f"p{number}", f"10.200.0.{number}", {"app": app, "number": str(number)}, port=number),
        policy_value(
            f"n{number}",
            podSelector={"matchLabels": {"number": str(number)}},
            ingress=[{"from": [{"podSelector": {"matchLabels": {"app": app}}}], "ports": [{"port": number}]}],
        ),
    ]


changes = st.one_of(
    st.builds(service_objects, st.integers(1, 4), st.sets(st.integers(1, 4), min_size=1)),
    st.builds(pod_objects, st.integers(1, 4), st.sampled_from(["a", "b"])),
)
histories = st.lists(st.lists(st.tuples(changes, st.booleans()), max_size=4), min_size=1, max_size=4)


@pytest.fixture(autouse=True)
def crowded(monkeypatch: pytest.MonkeyPatch) -> None:
    def preferred(space: Space, symbol: Symbol) -> int:
        return len(repr(symbol)) % 2

    monkeypatch.setattr(Space, "preferred", preferred)


def meanings(server: FakeSwitch) -> dict[str, tuple[int, ...]]:
    """What plain addresses say that numbers stand for: an endpoint's address its member and endpoint id, a pod's its policy."""
    found: dict[str, tuple[int, ...]] = {}
    for entity in server.entities.values():
        if entity.HasField("action_profile_member"):
            addr, _, endpoint_id = (param.value for param in entity.action_profile_member.action.params)
            found[f"endpoint {addr.hex()}"] = (
                entity.action_profile_member.member_id,
                int.from_bytes(endpoint_id, "big"),
            )
    for name in ("service_frontend_table", "destination_pod_table", "source_identity_table"):
        for entry in server.table(name):
            key = " ".join(str(match).replace("\n", " ") for match in entry.match)
            found[f"{name} {key}"] = tuple(int.from_bytes(param.value, "big") for param in entry.action.action.params)
    return found


def contents(objects: dict[Any, dict[str, Any]]) -> list[dict[str, Any]]:
    return list(objects.values())


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(histories, st.integers(0, 1 << 30), st.booleans())
def test_a_restart_writes_the_difference_and_nothing_changes_its_meaning(
    history: list[list[tuple[list[dict[str, Any]], bool]]], seed: int, is_canonical: bool
) -> None:
    """Each round of the history happens while no controller is there; the next one finds the objects in another order."""
    draw = random.Random(seed)

    async def test() -> None:
        async with switch() as server:
            server.pads = not is_canonical
            objects = {ref_of(value): value for value in service_objects(1, {1, 2}) + pod_objects(1, "a")}
            for round_ in history:
                async with controller(server, make_store(contents(objects))) as reconciler:
                    await settled(server, reconciler)
                before, installed = meanings(server), bodies(server)
                touched: set[str] = set()
                for values, is_removal in round_:
                    for value in values:
                        touched.add(value["metadata"]["name"])
                        if is_removal:
                            objects.pop(ref_of(value), None)
                        else:
                            objects[ref_of(value)] = value
                listed = contents(objects)
                draw.shuffle(listed)
                server.batches.clear()
                async with controller(server, make_store(listed)) as reconciler:
                    await settled(server, reconciler)
                    assert not reconciler.problems
                after = meanings(server)
                for what in before.keys() & after.keys():
                    if what.startswith("endpoint"):
                        assert before[what] == after[what], f"{what} has another number now"
                if not touched:
                    assert not server.batches and before == after
                wanted = bodies(server)
                deleted = [update for update in server.updates if update.type == p4r.Update.DELETE]
                assert len(deleted) == len({server._key(update.entity) for update in deleted})
                for update in server.updates:
                    if update.type != p4r.Update.DELETE:
                        assert update.entity.SerializeToString(deterministic=True) in wanted, "written twice"
                        assert update.entity.SerializeToString(deterministic=True) not in installed, "it was there"
            await asyncio.sleep(0)

    run(test())


def test_what_stands_where_a_number_should_is_replaced_under_another() -> None:
    """Two endpoints' numbers are swapped in the switch: each is taken over as it is there, and nothing is written."""

    async def test() -> None:
        async with switch() as server:
            values = service_objects(1, {1, 2}) + service_objects(2, {1, 2})
            async with controller(server, make_store(values)) as reconciler:
                await settled(server, reconciler)
            first = meanings(server)
            batches = len(server.batches)
            for order in (values[::-1], values[2:] + values[:2]):
                async with controller(server, make_store(order)) as reconciler:
                    await settled(server, reconciler)
                assert meanings(server) == first and len(server.batches) == batches

    run(test())


def test_a_number_that_is_still_in_the_switch_is_not_given_to_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """One Service goes and another comes while nobody looks: until the old one's entries are gone, its number is its own."""
    monkeypatch.setattr(Space, "preferred", lambda space, symbol: 0)

    def set_ids(server: FakeSwitch) -> dict[bytes, bytes]:
        return {
            entry.match[0].exact.value: entry.action.action.params[0].value
            for entry in server.table("service_frontend_table")
        }

    async def test() -> None:
        async with switch() as server:
            async with controller(server, make_store(service_objects(1, {1}) + service_objects(2, {1}))) as reconciler:
                await settled(server, reconciler)
            before = set_ids(server)
            async with controller(server, make_store(service_objects(1, {1}) + service_objects(3, {1}))) as reconciler:
                await settled(server, reconciler)
            after = set_ids(server)
            ((kept, number),) = before.items() & after.items()
            ((_, gone),) = before.items() - after.items()
            ((_, new),) = after.items() - before.items()
            assert len({number, gone, new}) == 3, kept

    run(test())


def test_only_what_differs_is_made_a_message_of(monkeypatch: pytest.MonkeyPatch) -> None:
    from controlplane.p4rt.codec import Codec

    async def test() -> None:
        async with switch() as server:
            server.pads = False
            values = service_objects(1, {1, 2, 3}) + pod_objects(1, "a")
            async with controller(server, make_store(values)) as reconciler:
                await settled(server, reconciler)
            made: list[p4r.Entity] = []
            canonical = Codec.canonical

            def noted(self: Codec, message: p4r.Entity) -> Any:
                made.append(message)
                return canonical(self, message)

            monkeypatch.setattr(Codec, "canonical", noted)
            values[1] = slice_value("s1", ["10.1.0.1", "10.1.0.2"], [UDP])
            async with controller(server, make_store(values)) as reconciler:
                await settled(server, reconciler)
            # the endpoint that has gone: member, liveness, affinity; and the group that it was in
            assert len(made) == 4

    run(test())
