"""Commands on action profiles, and their older names, which name a table instead."""

from __future__ import annotations

import sys
from collections.abc import Callable

from p4switch.cli.base import EXACTLY, command
from p4switch.cli.errors import CommandError
from p4switch.cli.program import Action, Profile
from p4switch.cli.tables import LINE, STARS, TableCommands
from p4switch.cli.values import parse_data
from p4switch.thrift.services import Group, Member


class ProfileCommands(TableCommands):
    def _profile(self, name: str, *, selector: bool = False) -> Profile:
        profile = self.program.profiles.get(name)
        if selector and not profile.selector:
            raise CommandError("Cannot run this command on an action profile without selector")
        return profile

    def _profile_action(self, profile: Profile, profile_name: str, name: str) -> Action:
        action = self.program.action_of(profile, name)
        if action is None:
            raise CommandError(f"Action profile '{profile_name}' has no action '{name}'")
        return action

    # -- members

    @command("act_prof_create_member PROFILE ACTION [PARAMETER...]: add a member.", 2)
    def do_act_prof_create_member(self, words: list[str]) -> None:
        profile = self._profile(words[0])
        action = self._profile_action(profile, words[0], words[1])
        data = parse_data(action, words[2:])
        handle = self.standard("bm_mt_act_prof_add_member", profile.name, action.name, data)
        print("Member has been created with handle", handle)

    @command("act_prof_delete_member PROFILE MEMBER: delete a member.", 2, EXACTLY)
    def do_act_prof_delete_member(self, words: list[str]) -> None:
        profile, member = self._profile(words[0]), self._handle(words[1], "member handle")
        self.standard("bm_mt_act_prof_delete_member", profile.name, member)

    @command("act_prof_modify_member PROFILE ACTION MEMBER [=>] [PARAMETER...]: change a member.", 3)
    def do_act_prof_modify_member(self, words: list[str]) -> None:
        profile = self._profile(words[0])
        action = self._profile_action(profile, words[0], words[1])
        member = self._handle(words[2], "member handle")
        params = words[4:] if words[3:4] == ["=>"] else words[3:]
        data = parse_data(action, params)
        self.standard("bm_mt_act_prof_modify_member", profile.name, member, action.name, data)

    # -- groups

    @command("act_prof_create_group PROFILE: add an empty group.", 1, EXACTLY)
    def do_act_prof_create_group(self, words: list[str]) -> None:
        profile = self._profile(words[0], selector=True)
        print("Group has been created with handle", self.standard("bm_mt_act_prof_create_group", profile.name))

    @command("act_prof_delete_group PROFILE GROUP: delete a group.", 2, EXACTLY)
    def do_act_prof_delete_group(self, words: list[str]) -> None:
        profile, group = self._profile(words[0], selector=True), self._handle(words[1], "group handle")
        self.standard("bm_mt_act_prof_delete_group", profile.name, group)

    def _change_group(self, call: str, words: list[str]) -> None:
        profile = self._profile(words[0], selector=True)
        member, group = self._handle(words[1], "member handle"), self._handle(words[2], "group handle")
        self.standard(call, profile.name, member, group)

    @command("act_prof_add_member_to_group PROFILE MEMBER GROUP: put a member into a group.", 3, EXACTLY)
    def do_act_prof_add_member_to_group(self, words: list[str]) -> None:
        self._change_group("bm_mt_act_prof_add_member_to_group", words)

    @command("act_prof_remove_member_from_group PROFILE MEMBER GROUP: take a member out of a group.", 3, EXACTLY)
    def do_act_prof_remove_member_from_group(self, words: list[str]) -> None:
        self._change_group("bm_mt_act_prof_remove_member_from_group", words)

    # -- dumps

    def _dump_member(self, member: Member) -> None:
        print(f"Dumping member {member.mbr_handle}")
        self.dump_data(member.action_name, member.action_data)

    def _dump_group(self, group: Group) -> None:
        print(f"Dumping group {group.grp_handle}")
        print(f"Members: [{', '.join(str(member) for member in group.mbr_handles)}]")

    def dump_profile(self, name: str) -> None:
        print(LINE)
        print("MEMBERS")
        for member in self.standard("bm_mt_act_prof_get_members", name):
            print(STARS)
            self._dump_member(member)
        if self.program.profiles.get(name).selector:
            print(LINE)
            print("GROUPS")
            for group in self.standard("bm_mt_act_prof_get_groups", name):
                print(STARS)
                self._dump_group(group)

    @command("act_prof_dump PROFILE: all members and groups.", 1, EXACTLY)
    def do_act_prof_dump(self, words: list[str]) -> None:
        self.dump_profile(self._profile(words[0]).name)

    @command("act_prof_dump_member PROFILE MEMBER: one member.", 2, EXACTLY)
    def do_act_prof_dump_member(self, words: list[str]) -> None:
        profile, member = self._profile(words[0]), self._handle(words[1], "member handle")
        self._dump_member(self.standard("bm_mt_act_prof_get_member", profile.name, member))

    @command("act_prof_dump_group PROFILE GROUP: one group.", 2, EXACTLY)
    def do_act_prof_dump_group(self, words: list[str]) -> None:
        profile, group = self._profile(words[0]), self._handle(words[1], "group handle")
        self._dump_group(self.standard("bm_mt_act_prof_get_group", profile.name, group))


def _by_table(name: str, *, selector: bool, deprecated: bool) -> Callable[[ProfileCommands, str], None]:
    """A command on an action profile under its older name, with the table in place of the profile."""

    @command(f"The older form of {name}, with a table in place of its action profile.", 1)
    def run(self: ProfileCommands, words: list[str]) -> None:
        table = self.program.tables.get(words[0])
        self._need_indirect(table, selector=selector)
        assert table.profile is not None
        sharing = [item for item in self.program.tables.all.values() if item.profile is table.profile]
        if deprecated and len(sharing) > 1:
            raise CommandError("Legacy command does not work with shared action profiles")
        if deprecated:
            sys.stderr.write(f"This is a deprecated command, use '{name}' instead\n")
        getattr(self, f"do_{name}")(" ".join([table.profile.name, *words[1:]]))

    return run


for _old, _new, _selector in (
    ("table_indirect_create_member", "act_prof_create_member", False),
    ("table_indirect_delete_member", "act_prof_delete_member", False),
    ("table_indirect_modify_member", "act_prof_modify_member", False),
    ("table_indirect_create_group", "act_prof_create_group", True),
    ("table_indirect_delete_group", "act_prof_delete_group", True),
    ("table_indirect_add_member_to_group", "act_prof_add_member_to_group", True),
    ("table_indirect_remove_member_from_group", "act_prof_remove_member_from_group", True),
):
    setattr(ProfileCommands, f"do_{_old}", _by_table(_new, selector=_selector, deprecated=True))
for _old, _new in (("table_dump_member", "act_prof_dump_member"), ("table_dump_group", "act_prof_dump_group")):
    setattr(ProfileCommands, f"do_{_old}", _by_table(_new, selector=False, deprecated=False))
