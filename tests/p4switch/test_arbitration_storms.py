"""StreamChannels in any order: against a model that says who is primary, and many at once over gRPC."""

from __future__ import annotations

import contextlib
import random
import threading
from dataclasses import dataclass, field

import grpc
from hypothesis import given, settings
from hypothesis import strategies as st

from p4base.messages import p4r
from p4switch.service.arbitration import MAX_ROLES, Arbiter, Client
from p4switch.service.errors import Code
from tests.p4switch.harness import DEVICE_ID, arbitration
from tests.p4switch.test_arbitration import Arbitration, advice, may_write
from tests.p4switch.test_server import RawClient, Running

ROLES = ("", "a", "b")
IDS = st.one_of(st.none(), st.integers(1, 5), st.just(3 << 64))


@dataclass
class Model:
    """A role as the specification describes it: its clients' ids, the highest id ever, the primary."""

    ids: dict[int, int | None] = field(default_factory=dict)
    highest: int | None = None
    primary: int | None = None

    def update(self, number: int, new_id: int | None) -> None:
        self.ids[number] = new_id
        if new_id is not None and (self.highest is None or new_id >= self.highest):
            self.highest, self.primary = new_id, number
        elif self.primary == number:
            self.primary = None

    def leave(self, number: int) -> None:
        del self.ids[number]
        if self.primary == number:
            self.primary = None

    def advice(self, number: int) -> Code:
        if self.primary is None:
            return Code.NOT_FOUND
        return Code.OK if self.primary == number else Code.ALREADY_EXISTS


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("update"), st.integers(0, 5), st.sampled_from(ROLES), IDS),
        st.tuples(st.just("leave"), st.integers(0, 5), st.just(""), st.none()),
    ),
    max_size=40,
)


@settings(deadline=None)
@given(STEPS)
def test_any_sequence_agrees_with_the_model(steps: list[tuple[str, int, str, int | None]]) -> None:
    """After each step every client has last been told what is so, and only the primary's id may write."""
    switch = Arbitration()
    clients: dict[int, Client] = {}
    role_of: dict[int, str] = {}
    told: dict[int, Code] = {}
    models = {role: Model() for role in ROLES}

    def leave(number: int) -> None:
        switch.arbiter.remove(clients.pop(number))
        told.pop(number, None)
        if number in role_of:
            models[role_of.pop(number)].leave(number)

    for kind, number, role, new_id in steps:
        if kind == "leave":
            if number in clients:
                leave(number)
        else:
            client = clients.setdefault(number, Client())
            others = [other for at, other in models[role].ids.items() if at != number]
            if role_of.get(number, role) != role:
                assert switch.refused(new_id, client, role=role) is Code.FAILED_PRECONDITION
                leave(number)  # as the server does
            elif new_id is not None and new_id in others:
                assert switch.refused(new_id, client, role=role) is Code.INVALID_ARGUMENT
                leave(number)
            else:
                switch.join(new_id, client, role)
                role_of[number] = role
                models[role].update(number, new_id)
        for at, client in clients.items():
            for code, _ in advice(client):
                told[at] = code
            assert told[at] is models[role_of[at]].advice(at), at
            assert switch.arbiter.is_primary(client) == (models[role_of[at]].primary == at)
        for name, model in models.items():
            for tried in (None, 1, 2, 3, 4, 5, 3 << 64):
                allowed = may_write(switch.arbiter, tried, name) is Code.OK
                assert allowed == (
                    model.primary is not None and tried is not None and model.ids[model.primary] == tried
                )


def test_roles_are_bounded() -> None:
    """Names are the clients' own: those that nobody has been primary of are forgotten, and the others are so many at most."""
    switch = Arbitration()
    for number in range(3 * MAX_ROLES):
        switch.arbiter.remove(switch.join(None, role=f"seen {number}"))
    for number in range(MAX_ROLES - 1):  # and the role without a name
        switch.join(1, role=f"kept {number}")
    assert switch.refused(1, role="one more") is Code.RESOURCE_EXHAUSTED
    assert switch.refused(2, role="one more") is Code.RESOURCE_EXHAUSTED
    switch.join(2, role="kept 0")
    assert isinstance(switch.arbiter, Arbiter)


def test_a_storm_of_streams_leaves_a_switch_that_works() -> None:
    """Clients come, elect, are refused, break off and fall silent, in no order; then one comes and is primary."""
    running = Running()

    def storm(seed: int) -> None:
        rng = random.Random(seed)
        for _ in range(25):
            client = RawClient(running.address, rng.choice((None, 1, 2, 3, rng.getrandbits(32))))
            with contextlib.suppress(grpc.RpcError, StopIteration):
                if rng.random() < 0.5:
                    client.receive()  # the answer to its first update; not everything else has one
                for _ in range(rng.randrange(4)):
                    client.send(
                        rng.choice(
                            (
                                arbitration(rng.randrange(1, 4)),
                                arbitration(rng.randrange(1, 4), role=rng.choice(ROLES)),
                                arbitration(1, device_id=DEVICE_ID + 1),
                                p4r.StreamMessageRequest(),
                                p4r.StreamMessageRequest(packet=p4r.PacketOut(payload=rng.randbytes(60))),
                            )
                        )
                    )
            if rng.random() < 0.5:
                client.stream.cancel()  # type: ignore[no-untyped-call]
            client.close()

    threads = [threading.Thread(target=storm, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    last = RawClient(running.address, 2**63)
    try:
        assert last.receive().arbitration.status.code == Code.OK
        last.set_config()
    finally:
        last.close()
        running.server.stop(0.1)
