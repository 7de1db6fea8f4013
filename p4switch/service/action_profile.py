"""Action profiles and selectors: members, groups and one-shot sets (specification, "ActionProfileMember" and following)."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from p4base import bytestring
from p4base.messages import p4i, p4r
from p4switch.dataplane import Action, Dataplane, DataplaneError, GroupMember
from p4switch.service import wire
from p4switch.service.action_plan import ActionPlan
from p4switch.service.entity import (
    ACTION_PROFILE_GROUP,
    ACTION_PROFILE_MEMBER,
    DELETE,
    INSERT,
    MODIFY,
    Emit,
    ReadScope,
    answer,
)
from p4switch.service.errors import Code, P4Error, invalid

_answer_member = answer(ACTION_PROFILE_MEMBER)
_answer_group = answer(ACTION_PROFILE_GROUP)

_PORT_BITS = 32

_Set = p4r.ActionProfileActionSet


class IdPool:
    """Hands out the lowest free id from 1 on, and takes ids back.

    Ids that are taken one after the other ascend, so that the members of a one-shot set are in the set's order.
    """

    def __init__(self) -> None:
        self._next = 1
        self._free: list[int] = []

    def take(self) -> int:
        if self._free:
            return heapq.heappop(self._free)
        self._next += 1
        return self._next - 1

    def give_back(self, taken: int) -> None:
        heapq.heappush(self._free, taken)


class OneShot(msgspec.Struct, frozen=True):
    """An installed one-shot set: the group and members that stand for it, and its message for read-back.

    Attributes:
        table_action: the serialised `p4.v1.TableAction`.
    """

    group_id: int
    member_ids: tuple[int, ...]
    table_action: bytes


@dataclass(slots=True)
class Profile:
    """One action profile or selector.

    Attributes:
        actions: those a member may be bound to, by action id.
        max_sizes: the `max_size` of each group for which the client gave one.
        one_shots: number of table entries that are programmed in one shot. Such a profile takes no members or groups, and
            one with members or groups takes no one-shot sets ("One Shot Action Selector Programming").
    """

    id: int
    name: str
    dataplane: Dataplane
    actions: Mapping[int, ActionPlan]
    with_selector: bool
    weights_disallowed: bool
    sum_of_members: bool
    max_member_weight: int
    max_group_size: int
    max_sizes: dict[int, int] = field(default_factory=dict)
    members: int = 0
    groups: int = 0
    one_shots: int = 0
    member_ids: IdPool = field(default_factory=IdPool)
    group_ids: IdPool = field(default_factory=IdPool)
    by_name: dict[str, ActionPlan] = field(default_factory=dict)

    def encode_action(self, action: p4r.Action) -> Action:
        """A member's action, packed."""
        plan = self.actions.get(action.action_id)
        if plan is None:
            known = ", ".join(p.name for p in self.actions.values())
            raise invalid(
                f"action profile {self.name} has no action with id 0x{action.action_id:08x}; its actions are {known}"
            )
        return plan.encode(action.params)

    def check_weight(self, weight: int, what: str, sum_of_members: bool | None = None) -> None:
        """`sum_of_members`: the size semantics of one group, if it has its own."""
        by_members = self.sum_of_members if sum_of_members is None else sum_of_members
        if self.weights_disallowed:
            if weight:
                raise invalid(f"{what}: weight {weight}, but weights are disallowed in {self.name}")
        elif weight <= 0:
            raise invalid(f"{what}: weight {weight}, expected at least 1")
        elif by_members and 0 < self.max_member_weight < weight:
            raise invalid(f"{what}: weight {weight}, expected at most {self.max_member_weight}")

    def group_size(self, weights: Sequence[int], sum_of_members: bool | None = None) -> int:
        """The size of a group in the terms of the profile's `selector_size_semantics`, or of the group's own."""
        by_members = self.sum_of_members if sum_of_members is None else sum_of_members
        return len(weights) if by_members or self.weights_disallowed else sum(weights)

    def watch_port(self, message: p4r.ActionProfileGroup.Member | p4r.ActionProfileAction, what: str) -> int | None:
        """The watched port, which must be one of the device's; None if there is none."""
        kind = message.WhichOneof("watch_kind")
        if kind is None or (kind == "watch_port" and not message.watch_port):
            return None
        if kind == "watch_port":
            try:
                port = bytestring.decode(message.watch_port, _PORT_BITS)
            except bytestring.BytestringError as error:
                raise invalid(f"{what}: watch_port: {error}") from None
        else:  # the deprecated number
            port = message.watch
            if not port:
                return None
        if not self.dataplane.has_port(port):
            raise invalid(f"{what}: watch port {port} is not a port of this device")
        return port

    # -- one-shot sets

    def insert_one_shot(self, table: str, table_action: p4r.TableAction) -> OneShot:
        """Make the members and the group of an action set. Nothing is left of them on an error."""
        action_set = table_action.action_profile_action_set
        if not self.with_selector:
            raise invalid(f"table {table}: its action profile {self.name} has no selector, so it takes no action sets")
        if self.members or self.groups:
            raise invalid(
                f"table {table}: action selector {self.name} is programmed with members and groups, so it cannot be "
                "programmed in one shot as well"
            )
        sum_of_members = self._size_semantics(table, action_set)
        actions, weights, ports = [], [], []
        for i, item in enumerate(action_set.action_profile_actions):
            what = f"table {table}: action {i} of the set"
            self.check_weight(item.weight, what, sum_of_members)
            actions.append(self.encode_action(item.action))
            weights.append(item.weight)
            ports.append(self.watch_port(item, what))
        size = self.group_size(weights, sum_of_members)
        if 0 < self.max_group_size < size:
            raise invalid(f"table {table}: the action set has size {size}, {self.name} allows {self.max_group_size}")
        member_ids: list[int] = []
        group_id = self.group_ids.take()
        try:
            for action in actions:
                member_id = self.member_ids.take()
                try:
                    self.dataplane.insert_member(self.name, member_id, action)
                except DataplaneError:
                    self.member_ids.give_back(member_id)
                    raise
                member_ids.append(member_id)
            members = [
                GroupMember(member_id, max(1, weight), port)
                for member_id, weight, port in zip(member_ids, weights, ports, strict=True)
            ]
            self.dataplane.insert_group(self.name, group_id, members)
        except DataplaneError:
            self.group_ids.give_back(group_id)
            self._drop_members(member_ids)
            raise
        self.one_shots += 1
        return OneShot(group_id, tuple(member_ids), self._canonical_set(action_set, actions, ports))

    @staticmethod
    def _size_semantics(table: str, action_set: p4r.ActionProfileActionSet) -> bool | None:
        """Whether the set's size is the number of its members; None if the selector says so. Checks the selection, too."""
        if action_set.action_selection_mode == _Set.RANDOM:
            raise P4Error(Code.UNIMPLEMENTED, f"table {table}: this device selects by a hash, not at random")
        if action_set.action_selection_mode not in _Set.ActionSelectionMode.values():
            raise invalid(f"table {table}: unknown action_selection_mode {action_set.action_selection_mode}")
        match action_set.size_semantics:
            case _Set.DEFAULT_SIZE_DETERMINED_BY_ACTION_SELECTOR:
                return None
            case _Set.SUM_OF_WEIGHTS:
                return False
            case _Set.SUM_OF_MEMBERS:
                return True
            case unknown:
                raise invalid(f"table {table}: unknown size_semantics {unknown}")

    def delete_one_shot(self, one_shot: OneShot) -> None:
        """Remove the group and members of an action set that no entry uses any more."""
        self.dataplane.delete_group(self.name, one_shot.group_id)
        self.group_ids.give_back(one_shot.group_id)
        self._drop_members(one_shot.member_ids)
        self.one_shots -= 1

    def _drop_members(self, member_ids: Iterable[int]) -> None:
        for member_id in member_ids:
            self.dataplane.delete_member(self.name, member_id)
            self.member_ids.give_back(member_id)

    def _canonical_set(
        self, action_set: p4r.ActionProfileActionSet, actions: Sequence[Action], ports: Sequence[int | None]
    ) -> bytes:
        """The TableAction as it is read back: the client's, with canonical byte strings."""
        canonical = p4r.TableAction()
        canonical.action_profile_action_set.CopyFrom(action_set)
        items = canonical.action_profile_action_set.action_profile_actions
        for item, action, port in zip(items, actions, ports, strict=True):
            item.action.ParseFromString(self.by_name[action.name].to_wire(action.args))
            if port is not None and item.WhichOneof("watch_kind") == "watch_port":
                item.watch_port = bytestring.encode(port)
        return canonical.SerializeToString()


def build_profiles(
    p4info: p4i.P4Info, plans: Mapping[int, Mapping[int, ActionPlan]], dataplane: Dataplane
) -> dict[int, Profile]:
    """The action profiles of a P4Info.

    Args:
        plans: for each table id, the actions that its entries may use.
    """
    profiles = {}
    for info in p4info.action_profiles:
        actions: dict[int, ActionPlan] = {}
        for table_id in info.table_ids:
            actions.update(plans.get(table_id, {}))
        profiles[info.preamble.id] = Profile(
            id=info.preamble.id,
            name=info.preamble.name,
            dataplane=dataplane,
            actions=actions,
            with_selector=info.with_selector,
            weights_disallowed=info.weights_disallowed,
            sum_of_members=info.WhichOneof("selector_size_semantics") == "sum_of_members",
            max_member_weight=info.sum_of_members.max_member_weight,
            max_group_size=info.max_group_size,
            by_name={plan.name: plan for plan in actions.values()},
        )
    return profiles


class _Profiles:
    """What the handlers of members and groups share: finding the profile."""

    def __init__(self, profiles: Mapping[int, Profile], dataplane: Dataplane) -> None:
        self._profiles = profiles
        self._dataplane = dataplane

    def _find(self, profile_id: int) -> Profile:
        profile = self._profiles.get(profile_id)
        if profile is None:
            raise invalid(f"no action profile has the id 0x{profile_id:08x}")
        return profile

    def _selected(self, profile_id: int, scope: ReadScope) -> list[Profile]:
        if not profile_id:
            return [p for p in self._profiles.values() if scope.sees(p.id)]
        profile = self._find(profile_id)
        scope.check(profile.id, profile.name)
        return [profile]

    @staticmethod
    def _refuse_mixing(profile: Profile) -> None:
        if profile.one_shots:
            raise invalid(f"action selector {profile.name} is programmed in one shot, so it takes no members or groups")


class MemberHandler(_Profiles):
    """`ActionProfileMember`."""

    def p4_id(self, message: p4r.ActionProfileMember) -> int:
        return message.action_profile_id

    def write(self, kind: int, message: p4r.ActionProfileMember) -> None:
        profile = self._find(message.action_profile_id)
        member_id = message.member_id
        if not member_id:
            raise invalid(f"action profile {profile.name}: member_id 0 is not an id")
        if profile.one_shots and kind != INSERT:
            raise P4Error(Code.NOT_FOUND, f"action profile {profile.name} has no member {member_id}")
        if kind == DELETE:
            self._dataplane.delete_member(profile.name, member_id)
            profile.members -= 1
            return
        self._refuse_mixing(profile)
        if not message.HasField("action"):
            raise invalid(f"action profile {profile.name}: member {member_id} has no action")
        action = profile.encode_action(message.action)
        if kind == INSERT:
            self._dataplane.insert_member(profile.name, member_id, action)
            profile.members += 1
        else:
            self._dataplane.modify_member(profile.name, member_id, action)

    def read(self, message: p4r.ActionProfileMember, scope: ReadScope, emit: Emit) -> None:
        for profile in self._selected(message.action_profile_id, scope):
            if profile.one_shots:  # the members of one-shot sets are not the client's
                continue
            for member_id, action in self._dataplane.read_members(profile.name):
                if message.member_id in (0, member_id):
                    emit(_answer_member(_member_to_wire(profile, member_id, action)))

    def snapshot(self, message: p4r.ActionProfileMember) -> Iterable[p4r.Entity]:
        profile = self._find(message.action_profile_id)
        for member_id, action in self._dataplane.read_members(profile.name):
            if member_id == message.member_id:
                entity = p4r.Entity()
                entity.action_profile_member.ParseFromString(_member_to_wire(profile, member_id, action))
                return [entity]
        return []


class GroupHandler(_Profiles):
    """`ActionProfileGroup`."""

    def p4_id(self, message: p4r.ActionProfileGroup) -> int:
        return message.action_profile_id

    def write(self, kind: int, message: p4r.ActionProfileGroup) -> None:
        profile = self._find(message.action_profile_id)
        group_id = message.group_id
        if not profile.with_selector:
            raise invalid(f"action profile {profile.name} has no selector, so it takes no groups")
        if not group_id:
            raise invalid(f"action selector {profile.name}: group_id 0 is not an id")
        if profile.one_shots and kind != INSERT:
            raise P4Error(Code.NOT_FOUND, f"action selector {profile.name} has no group {group_id}")
        if kind == DELETE:
            self._dataplane.delete_group(profile.name, group_id)
            profile.max_sizes.pop(group_id, None)
            profile.groups -= 1
            return
        self._refuse_mixing(profile)
        members = self._members(profile, message)
        self._check_max_size(profile, kind, message)
        if kind == INSERT:
            self._dataplane.insert_group(profile.name, group_id, members)
            profile.groups += 1
            if message.max_size:
                profile.max_sizes[group_id] = message.max_size
        else:
            self._dataplane.modify_group(profile.name, group_id, members)

    @staticmethod
    def _members(profile: Profile, message: p4r.ActionProfileGroup) -> list[GroupMember]:
        members = []
        seen = set()
        for member in message.members:
            what = f"group {message.group_id} of {profile.name}, member {member.member_id}"
            if member.member_id in seen:
                raise invalid(f"{what}: given twice; use its weight instead")
            seen.add(member.member_id)
            profile.check_weight(member.weight, what)
            members.append(GroupMember(member.member_id, max(1, member.weight), profile.watch_port(member, what)))
        return members

    @staticmethod
    def _check_max_size(profile: Profile, kind: int, message: p4r.ActionProfileGroup) -> None:
        """The rules on `max_size`. As the reference does, 0 is accepted for "not given" everywhere."""
        what = f"group {message.group_id} of {profile.name}"
        max_size = message.max_size
        if max_size < 0:
            raise invalid(f"{what}: max_size {max_size} is negative")
        if 0 < profile.max_group_size < max_size:
            raise invalid(f"{what}: max_size {max_size}, but the P4Info's max_group_size is {profile.max_group_size}")
        if kind == MODIFY:
            declared = profile.max_sizes.get(message.group_id, 0)
            if max_size not in (0, declared):
                raise invalid(f"{what}: max_size cannot change from {declared} to {max_size}")
            max_size = declared
        limit = max_size or profile.max_group_size
        size = profile.group_size([member.weight for member in message.members])
        if 0 < limit < size:
            raise P4Error(Code.RESOURCE_EXHAUSTED, f"{what}: size {size} exceeds its maximum of {limit}")

    def read(self, message: p4r.ActionProfileGroup, scope: ReadScope, emit: Emit) -> None:
        for profile in self._selected(message.action_profile_id, scope):
            if profile.one_shots or not profile.with_selector:
                continue
            for group_id, members in self._dataplane.read_groups(profile.name):
                if message.group_id in (0, group_id):
                    emit(_answer_group(_group_message(profile, group_id, members).SerializeToString()))

    def snapshot(self, message: p4r.ActionProfileGroup) -> Iterable[p4r.Entity]:
        profile = self._find(message.action_profile_id)
        for group_id, members in self._dataplane.read_groups(profile.name):
            if group_id == message.group_id:
                return [p4r.Entity(action_profile_group=_group_message(profile, group_id, members))]
        return []


def _member_to_wire(profile: Profile, member_id: int, action: Action) -> bytes:
    return (
        wire.varint_field(1, profile.id)
        + wire.varint_field(2, member_id)
        + wire.bytes_field(3, profile.by_name[action.name].to_wire(action.args))
    )


def _group_message(profile: Profile, group_id: int, members: Sequence[GroupMember]) -> p4r.ActionProfileGroup:
    message = p4r.ActionProfileGroup(
        action_profile_id=profile.id, group_id=group_id, max_size=profile.max_sizes.get(group_id, 0)
    )
    for member in members:
        item = message.members.add(member_id=member.member_id)
        if not profile.weights_disallowed:
            item.weight = member.weight
        if member.watch_port is not None:
            item.watch_port = bytestring.encode(member.watch_port)
    return message
