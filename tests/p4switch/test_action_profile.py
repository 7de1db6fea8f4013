"""Members, groups and one-shot sets through the service."""

from __future__ import annotations

import pytest

from p4base.messages import p4r
from p4switch.service.errors import Code
from tests.p4switch.harness import Harness, in_order, table
from tests.p4switch.programs import ACTION_ID, MAX_GROUP_SIZE, PROFILE_ID, TABLE_ID, full_name, number, set_forward
from tests.p4switch.test_table_entry import refusal

SELECTOR = PROFILE_ID["selector"]


def member(member_id: int, out: int = 1, profile: int = SELECTOR) -> p4r.Entity:
    entity = p4r.Entity()
    entity.action_profile_member.action_profile_id = profile
    entity.action_profile_member.member_id = member_id
    set_forward(entity.action_profile_member.action, out)
    return entity


def group(group_id: int, *members: tuple[int, int], max_size: int = 0, profile: int = SELECTOR) -> p4r.Entity:
    """A group of (member id, weight)."""
    entity = p4r.Entity()
    message = entity.action_profile_group
    message.action_profile_id, message.group_id, message.max_size = profile, group_id, max_size
    for member_id, weight in members:
        message.members.add(member_id=member_id, weight=weight)
    return entity


def balance_entry(src: int, *, group_id: int = 0, member_id: int = 0) -> p4r.TableEntry:
    entry = p4r.TableEntry(table_id=TABLE_ID["balance_table"])
    entry.match.add(field_id=1).exact.value = number(src)
    if group_id:
        entry.action.action_profile_group_id = group_id
    else:
        entry.action.action_profile_member_id = member_id
    return entry


def one_shot_entry(src: int, *outs: int) -> p4r.TableEntry:
    """An entry that forwards to each of `outs`, with weights 1, 2, ..."""
    entry = p4r.TableEntry(table_id=TABLE_ID["balance_table"])
    entry.match.add(field_id=1).exact.value = number(src)
    entry.action.action_profile_action_set.SetInParent()
    for weight, out in enumerate(outs, 1):
        item = entry.action.action_profile_action_set.action_profile_actions.add(weight=weight)
        set_forward(item.action, out)
    return entry


def test_members_groups_and_entries_are_read_back(switch: Harness) -> None:
    watched = group(7, (1, 1), (2, 3), max_size=5)
    watched.action_profile_group.members[1].watch_port = b"\x02"
    entry = balance_entry(9, group_id=7)
    switch.insert(member(1, 1), member(2, 2))
    switch.insert(watched)
    switch.insert(table(entry))
    assert switch.read(p4r.Entity(action_profile_member=p4r.ActionProfileMember())) == [member(1, 1), member(2, 2)]
    assert switch.read(member(2)) == [member(2, 2)]
    assert switch.read(p4r.Entity(action_profile_group=p4r.ActionProfileGroup())) == [watched]
    assert switch.entries(entry.table_id) == [entry]


def test_what_is_in_use_or_missing(switch: Harness) -> None:
    assert refusal(lambda: switch.insert(group(1, (1, 1))))[0] == Code.NOT_FOUND
    assert refusal(lambda: switch.insert(table(balance_entry(1, group_id=1))))[0] == Code.NOT_FOUND
    switch.insert(member(1))
    switch.insert(group(1, (1, 1)))
    switch.insert(table(balance_entry(1, group_id=1)))
    assert refusal(lambda: switch.insert(member(1)))[0] == Code.ALREADY_EXISTS
    assert refusal(lambda: switch.insert(group(1)))[0] == Code.ALREADY_EXISTS
    assert refusal(lambda: switch.delete(member(1)))[0] == Code.FAILED_PRECONDITION
    assert refusal(lambda: switch.delete(group(1)))[0] == Code.FAILED_PRECONDITION
    switch.delete(table(balance_entry(1)))
    switch.delete(group(1))
    switch.delete(member(1))
    assert refusal(lambda: switch.delete(member(1)))[0] == Code.NOT_FOUND
    assert refusal(lambda: switch.modify(group(1)))[0] == Code.NOT_FOUND


@pytest.mark.parametrize(
    ("entity", "code", "words"),
    [
        (group(1, (1, 0)), Code.INVALID_ARGUMENT, "weight 0"),
        (group(1, (1, 1), (1, 1)), Code.INVALID_ARGUMENT, "given twice"),
        (group(1, (1, MAX_GROUP_SIZE), (2, 1)), Code.RESOURCE_EXHAUSTED, "size 9"),
        (group(1, (1, 2), (2, 2), max_size=3), Code.RESOURCE_EXHAUSTED, "maximum of 3"),
        (group(1, max_size=MAX_GROUP_SIZE + 1), Code.INVALID_ARGUMENT, "max_group_size"),
        (group(0), Code.INVALID_ARGUMENT, "group_id 0"),
        (group(1, profile=PROFILE_ID["plain_profile"]), Code.INVALID_ARGUMENT, "no selector"),
        (group(1, profile=5), Code.INVALID_ARGUMENT, "0x00000005"),
        (member(0), Code.INVALID_ARGUMENT, "member_id 0"),
    ],
)
def test_bad_members_and_groups(switch: Harness, entity: p4r.Entity, code: Code, words: str) -> None:
    switch.insert(member(1), member(2))
    given, message = refusal(lambda: switch.insert(entity))
    assert given == code
    assert words in message


def test_watch_port_must_exist(switch: Harness) -> None:
    switch.insert(member(1))
    watched = group(1, (1, 1))
    watched.action_profile_group.members[0].watch_port = b"\x63"
    code, message = refusal(lambda: switch.insert(watched))
    assert code == Code.INVALID_ARGUMENT
    assert "watch port 99" in message


def test_max_size_cannot_change(switch: Harness) -> None:
    switch.insert(group(1, max_size=4))
    code, message = refusal(lambda: switch.modify(group(1, max_size=5)))
    assert (code, "from 4 to 5" in message) == (Code.INVALID_ARGUMENT, True)


def test_member_of_a_full_profile(switch: Harness) -> None:
    plain = PROFILE_ID["plain_profile"]
    switch.insert(*(member(i, profile=plain) for i in range(1, 5)))
    assert refusal(lambda: switch.insert(member(5, profile=plain)))[0] == Code.RESOURCE_EXHAUSTED


def test_member_is_bound_to_an_action_of_its_tables(switch: Harness) -> None:
    wrong = member(1)
    wrong.action_profile_member.action.action_id = ACTION_ID["only_default"]
    assert refusal(lambda: switch.insert(wrong))[0] == Code.INVALID_ARGUMENT


def test_one_shot_is_read_back_as_it_was_written_and_leaves_nothing(switch: Harness) -> None:
    first, second = one_shot_entry(1, 1, 1, 2), one_shot_entry(2, 3)
    switch.insert(table(first), table(second))
    assert in_order(switch.entries(first.table_id)) == in_order([first, second])
    assert switch.read(p4r.Entity(action_profile_member=p4r.ActionProfileMember())) == [], "they are not the client's"
    assert switch.read(p4r.Entity(action_profile_group=p4r.ActionProfileGroup())) == []
    changed = one_shot_entry(1, 4, 5)
    switch.modify(table(changed))
    assert in_order(switch.entries(first.table_id)) == in_order([changed, second])
    groups = dict(switch.dataplane.read_groups(full_name("selector")))
    assert sorted([m.weight for m in g] for g in groups.values()) == [[1], [1, 2]]
    switch.delete(table(changed), table(second))
    assert list(switch.dataplane.read_members(full_name("selector"))) == []
    assert list(switch.dataplane.read_groups(full_name("selector"))) == []
    switch.insert(member(1))  # and the selector may be programmed the other way now


def test_one_shot_is_all_or_nothing(switch: Harness) -> None:
    switch.insert(table(one_shot_entry(1, 1)))
    for wrong in (one_shot_entry(1, 2), one_shot_entry(2, *range(1, MAX_GROUP_SIZE))):
        refusal(lambda w=wrong: switch.insert(table(w)))  # type: ignore[misc]
    assert len(list(switch.dataplane.read_members(full_name("selector")))) == 1
    assert len(list(switch.dataplane.read_groups(full_name("selector")))) == 1


def test_a_one_shot_set_may_have_a_size_semantics_of_its_own(switch: Harness) -> None:
    outs = range(1, 5)  # weights 1 to 4: a size of 10 by weights, of 4 by members; the selector allows 8
    entry = one_shot_entry(1, *outs)
    assert refusal(lambda: switch.insert(table(entry)))[0] == Code.INVALID_ARGUMENT
    entry.action.action_profile_action_set.size_semantics = p4r.ActionProfileActionSet.SUM_OF_MEMBERS
    entry.action.action_profile_action_set.action_selection_mode = p4r.ActionProfileActionSet.HASH
    switch.insert(table(entry))
    assert switch.entries(TABLE_ID["balance_table"]) == [entry]
    entry.action.action_profile_action_set.action_selection_mode = p4r.ActionProfileActionSet.RANDOM
    code, message = refusal(lambda: switch.modify(table(entry)))
    assert code == Code.UNIMPLEMENTED
    assert "ingress.balance_table" in message


def test_one_shot_and_members_do_not_mix(switch: Harness) -> None:
    switch.insert(table(one_shot_entry(1, 1)))
    assert refusal(lambda: switch.insert(member(1)))[0] == Code.INVALID_ARGUMENT
    assert refusal(lambda: switch.insert(table(balance_entry(2, member_id=1))))[0] == Code.INVALID_ARGUMENT
    switch.delete(table(one_shot_entry(1)))
    switch.insert(member(1))
    assert refusal(lambda: switch.insert(table(one_shot_entry(1, 1))))[0] == Code.INVALID_ARGUMENT


def test_indirect_table_wants_a_member(switch: Harness) -> None:
    entry = balance_entry(1, group_id=1)
    entry.table_id = TABLE_ID["profile_table"]
    code, message = refusal(lambda: switch.insert(table(entry)))
    assert code == Code.INVALID_ARGUMENT
    assert "expected a member" in message
