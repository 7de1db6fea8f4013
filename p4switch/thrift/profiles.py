"""The calls on action profiles. Members and groups are numbered here, as BMv2 does: the lowest free number."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from p4switch.bmv2 import model
from p4switch.dataplane import Action, DataplaneError, GroupMember, Status
from p4switch.native.objects import ProfileInfo
from p4switch.thrift.calls import Calls
from p4switch.thrift.keys import from_action, to_action
from p4switch.thrift.services import Group, InvalidTableOperation, Member, TableError


def _refused(code: TableError) -> InvalidTableOperation:
    return InvalidTableOperation(code.value)


class ProfileCalls(Calls):
    """`bm_mt_act_prof_…`."""

    def _profile(self, name: str, *, selector: bool = False) -> ProfileInfo:
        info = self.state.program.objects.profiles.get(name)
        if info is None:
            raise _refused(TableError.INVALID_ACTION_PROFILE_NAME)
        if selector and not info.selector:
            raise _refused(TableError.NO_ACTION_PROFILE_SELECTION)
        return info

    def _action(self, info: ProfileInfo, name: str, data: Sequence[bytes]) -> Action:
        return to_action(self._action_params(info, name), name, data)

    def _action_params(self, info: ProfileInfo, name: str) -> Sequence[model.ActionParam]:
        program = self.state.program.objects.program
        for table in program.tables():
            if table.profile == info.name:
                for number in table.actions:
                    if program.actions[number].name == name:
                        return program.actions[number].params
        raise _refused(TableError.INVALID_ACTION_NAME)

    @contextmanager
    def _explained_profile(self, missing: TableError, used: TableError) -> Iterator[None]:
        try:
            yield
        except DataplaneError as error:
            self.log_refusal(error)
            codes = {
                Status.NOT_FOUND: missing,
                Status.ALREADY_EXISTS: TableError.DUPLICATE_ENTRY,
                Status.RESOURCE_EXHAUSTED: TableError.TABLE_FULL,
                Status.FAILED_PRECONDITION: used,
            }
            raise _refused(codes.get(error.status, TableError.ERROR)) from None

    @staticmethod
    def _lowest_free(used: Callable[[], Iterator[int]]) -> int:
        taken = set(used())
        return next(number for number in range(len(taken) + 1) if number not in taken)

    # -- members

    def bm_mt_act_prof_add_member(self, act_prof_name: str, action_name: str, action_data: list[bytes]) -> int:
        with self.state.lock:
            info = self._profile(act_prof_name)
            action = self._action(info, action_name, action_data)
            number = self._lowest_free(lambda: (member for member, _ in self.state.dataplane.read_members(info.name)))
            with self._explained_profile(TableError.ERROR, TableError.ERROR):
                self.state.dataplane.insert_member(info.name, number, action)
            return number

    def bm_mt_act_prof_modify_member(
        self, act_prof_name: str, mbr_handle: int, action_name: str, action_data: list[bytes]
    ) -> None:
        with self.state.lock:
            info = self._profile(act_prof_name)
            action = self._action(info, action_name, action_data)
            with self._explained_profile(TableError.INVALID_MBR_HANDLE, TableError.ERROR):
                self.state.dataplane.modify_member(info.name, mbr_handle & 0xFFFFFFFF, action)

    def bm_mt_act_prof_delete_member(self, act_prof_name: str, mbr_handle: int) -> None:
        with self.state.lock:
            info = self._profile(act_prof_name)
            with self._explained_profile(TableError.INVALID_MBR_HANDLE, TableError.MBR_STILL_USED):
                self.state.dataplane.delete_member(info.name, mbr_handle & 0xFFFFFFFF)

    def bm_mt_act_prof_get_members(self, act_prof_name: str) -> list[Member]:
        with self.state.lock:
            info = self._profile(act_prof_name)
            return [
                Member(number, action.name, from_action(self._action_params(info, action.name), action))
                for number, action in self.state.dataplane.read_members(info.name)
            ]

    def bm_mt_act_prof_get_member(self, act_prof_name: str, mbr_handle: int) -> Member:
        for member in self.bm_mt_act_prof_get_members(act_prof_name):
            if member.mbr_handle == mbr_handle:
                return member
        raise _refused(TableError.INVALID_MBR_HANDLE)

    # -- groups

    def _members(self, info: ProfileInfo, group: int) -> list[GroupMember]:
        for number, members in self.state.dataplane.read_groups(info.name):
            if number == group & 0xFFFFFFFF:
                return list(members)
        raise _refused(TableError.INVALID_GRP_HANDLE)

    def _check_member(self, info: ProfileInfo, handle: int) -> None:
        """BMv2 looks for the member first, and for the group then."""
        if all(number != handle & 0xFFFFFFFF for number, _ in self.state.dataplane.read_members(info.name)):
            raise _refused(TableError.INVALID_MBR_HANDLE)

    def bm_mt_act_prof_create_group(self, act_prof_name: str) -> int:
        with self.state.lock:
            info = self._profile(act_prof_name, selector=True)
            number = self._lowest_free(lambda: (group for group, _ in self.state.dataplane.read_groups(info.name)))
            with self._explained_profile(TableError.ERROR, TableError.ERROR):
                self.state.dataplane.insert_group(info.name, number, [])
            return number

    def bm_mt_act_prof_delete_group(self, act_prof_name: str, grp_handle: int) -> None:
        with self.state.lock:
            info = self._profile(act_prof_name, selector=True)
            with self._explained_profile(TableError.INVALID_GRP_HANDLE, TableError.GRP_STILL_USED):
                self.state.dataplane.delete_group(info.name, grp_handle & 0xFFFFFFFF)

    def bm_mt_act_prof_add_member_to_group(self, act_prof_name: str, mbr_handle: int, grp_handle: int) -> None:
        with self.state.lock:
            info = self._profile(act_prof_name, selector=True)
            self._check_member(info, mbr_handle)
            members = self._members(info, grp_handle)
            if any(member.member_id == mbr_handle for member in members):
                raise _refused(TableError.MBR_ALREADY_IN_GRP)
            members.append(GroupMember(mbr_handle & 0xFFFFFFFF))
            with self._explained_profile(TableError.INVALID_MBR_HANDLE, TableError.ERROR):
                self.state.dataplane.modify_group(info.name, grp_handle & 0xFFFFFFFF, members)

    def bm_mt_act_prof_remove_member_from_group(self, act_prof_name: str, mbr_handle: int, grp_handle: int) -> None:
        with self.state.lock:
            info = self._profile(act_prof_name, selector=True)
            self._check_member(info, mbr_handle)
            members = self._members(info, grp_handle)
            rest = [member for member in members if member.member_id != mbr_handle]
            if len(rest) == len(members):
                raise _refused(TableError.MBR_NOT_IN_GRP)
            with self._explained_profile(TableError.INVALID_GRP_HANDLE, TableError.ERROR):
                self.state.dataplane.modify_group(info.name, grp_handle & 0xFFFFFFFF, rest)

    def bm_mt_act_prof_get_groups(self, act_prof_name: str) -> list[Group]:
        with self.state.lock:
            info = self._profile(act_prof_name, selector=True)
            return [
                Group(number, [member.member_id for member in members])
                for number, members in self.state.dataplane.read_groups(info.name)
            ]

    def bm_mt_act_prof_get_group(self, act_prof_name: str, grp_handle: int) -> Group:
        for group in self.bm_mt_act_prof_get_groups(act_prof_name):
            if group.grp_handle == grp_handle:
                return group
        raise _refused(TableError.INVALID_GRP_HANDLE)
