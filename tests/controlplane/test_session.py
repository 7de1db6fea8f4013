"""The session with a switch: what a controller is told that may not be primary."""

from __future__ import annotations

import asyncio

import pytest

from controlplane.p4rt.session import NotPrimaryError, Session, SessionError, Target
from p4base.messages import p4r, rpc_code
from tests.controlplane.test_reconcile import run, switch


def test_a_duplicate_election_id_is_refused_in_words() -> None:
    async def test() -> None:
        async with switch() as server, Session(Target(server.address, 0, 5)) as first:
            await asyncio.sleep(0.05)
            assert first.is_primary
            with pytest.raises(SessionError, match=r"refuses election id 5; another controller may have it"):
                async with Session(Target(server.address, 0, 5)) as second:
                    await second.wait(2)
                    raise SessionError(second.lost or "still there")
            assert first.is_primary and first.lost is None

    run(test())


def test_a_backup_writes_nothing_and_pushes_nothing() -> None:
    async def test() -> None:
        async with (
            switch() as server,
            Session(Target(server.address, 0, 5)),
            Session(Target(server.address, 0, 4)) as backup,
        ):
            await asyncio.sleep(0.05)
            assert not backup.is_primary
            with pytest.raises(NotPrimaryError, match="nothing is written"):
                await backup.write([(int(p4r.Update.INSERT), b"")])
            with pytest.raises(NotPrimaryError):
                await backup.push_pipeline(p4r.ForwardingPipelineConfig())
            assert not server.batches and not server.pushes

    run(test())


def test_a_thousand_refusals_of_one_write_are_all_told() -> None:
    async def test() -> None:
        async with switch() as server, Session(Target(server.address, 0, 5)) as session:
            await asyncio.sleep(0.05)
            server.refuse = lambda update: (
                rpc_code.RESOURCE_EXHAUSTED,
                f"table {update.entity.table_entry.table_id}" + "." * 200,
            )
            updates = [
                (int(p4r.Update.INSERT), p4r.Entity(table_entry=p4r.TableEntry(table_id=number)).SerializeToString())
                for number in range(1000)
            ]
            refusals = await session.write(updates)
            told = [refusal.message.rstrip(".") for refusal in refusals if refusal is not None]
            assert told == [f"table {number}" for number in range(1000)]

    run(test())
