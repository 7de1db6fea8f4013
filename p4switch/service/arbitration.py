"""Which client is primary (P4Runtime specification, "Client Arbitration and Controller Replication").

One `Arbiter` per device. It knows clients only as objects that take an advisory message, and it is the one place that
knows which writes are in flight, because a new primary is acknowledged only once its predecessor's writes are done.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from p4base.messages import p4r
from p4switch.service.errors import Code, P4Error, invalid
from p4switch.service.outbox import Outbox
from p4switch.service.roles import RoleConfig, parse_role_config

MAX_CLIENTS_PER_ROLE = 128
"""Open streams for one role; one more is RESOURCE_EXHAUSTED. Each takes two threads of the server."""

MAX_ROLES = 1024
"""Roles with clients, or whose highest election id has to be remembered."""

ElectionId = int
"""An election id as one number: high << 64 | low."""


def election_id(message: p4r.Uint128) -> ElectionId:
    """The number in a `Uint128`."""
    return message.high << 64 | message.low


@dataclass(eq=False, slots=True)
class Client:
    """One open StreamChannel.

    Attributes:
        outbox: what is sent to it.
        role: None until the first arbitration update was accepted.
        election_id: None if the client left it unset, so that it never becomes primary.
    """

    outbox: Outbox = field(default_factory=Outbox)
    role: Role | None = None
    election_id: ElectionId | None = None

    def notify(self, advice: p4r.MasterArbitrationUpdate) -> None:
        self.outbox.put(p4r.StreamMessageResponse(arbitration=advice).SerializeToString())


@dataclass(eq=False, slots=True)
class Role:
    """The clients of one role.

    Attributes:
        highest: the highest election id that ever made a client of this role primary.
        primary: None when there is none, also while the writes of the last one are drained.
        message: the role as its primary last described it; None for the default role without a configuration.
    """

    name: str
    clients: list[Client] = field(default_factory=list)
    highest: ElectionId | None = None
    primary: Client | None = None
    message: p4r.Role | None = None
    config: RoleConfig | None = None
    writes_in_flight: int = 0


class Arbiter:
    """The arbitration of one device."""

    def __init__(self, device_id: int) -> None:
        self.device_id = device_id
        self._roles: dict[str, Role] = {"": Role("")}
        self._changed = threading.Condition()
        self._electing = threading.Lock()

    # -- arbitration updates

    def update(self, client: Client, message: p4r.MasterArbitrationUpdate) -> None:
        """Take a client's MasterArbitrationUpdate and send the advisory messages that follow from it.

        Blocks until the previous primary's writes are done, if the primary changes.

        Raises:
            P4Error: the stream must be closed with this error.
        """
        # One election at a time, so that no second one starts while the first drains writes.
        with self._electing, self._changed:
            role = self._admit(client, message)
            past = role.highest
            new_id = client.election_id
            if new_id is None or (past is not None and new_id < past):
                self._become_backup(role, client)
                return
            config = self._role_config(message)
            others_must_know = role.primary is not client or role.message != _role_message(message)
            role.primary = None
            role.highest = new_id
            role.message, role.config = _role_message(message), config
            if others_must_know:
                for other in role.clients:
                    if other is not client:
                        other.notify(self._advice(role, Code.ALREADY_EXISTS))
            while role.writes_in_flight:
                self._changed.wait()
            if client not in role.clients:  # it left while the writes were drained
                self._notify_backups(role)
                return
            role.primary = client
            client.notify(self._advice(role, Code.OK))

    def remove(self, client: Client) -> None:
        """The client's stream has ended. If it was primary there is none until another update elects one."""
        with self._changed:
            role = client.role
            if role is None or client not in role.clients:
                return
            role.clients.remove(client)
            if not role.clients and role.highest is None and role.name:
                del self._roles[role.name]  # nobody has been elected: there is nothing to remember
            if role.primary is client:
                role.primary = None
                self._notify_backups(role)

    def _admit(self, client: Client, message: p4r.MasterArbitrationUpdate) -> Role:
        """Check the update and store the client's role and election id. Returns the role."""
        name = message.role.name
        new_id = election_id(message.election_id) if message.HasField("election_id") else None
        if client.role is None:
            if message.device_id != self.device_id:
                raise P4Error(Code.NOT_FOUND, f"no device {message.device_id}; this is device {self.device_id}")
            role = self._roles.get(name) or Role(name)
        else:
            role = client.role
            if message.device_id != self.device_id:
                raise P4Error(
                    Code.FAILED_PRECONDITION,
                    f"this stream is for device {self.device_id}, it cannot change to device {message.device_id}",
                )
            if name != role.name:
                raise P4Error(
                    Code.FAILED_PRECONDITION,
                    f"this stream has role {role.name!r}, it cannot change to {name!r}; open another stream",
                )
        self._role_config(message)
        if new_id is not None and any(c is not client and c.election_id == new_id for c in role.clients):
            raise invalid(f"election id {new_id} is used by another client of role {name!r}")
        if client.role is None:
            if name not in self._roles and len(self._roles) >= MAX_ROLES:
                raise P4Error(Code.RESOURCE_EXHAUSTED, f"role {name!r}: there are {MAX_ROLES} roles already")
            if len(role.clients) >= MAX_CLIENTS_PER_ROLE:
                raise P4Error(Code.RESOURCE_EXHAUSTED, f"role {name!r} has {MAX_CLIENTS_PER_ROLE} open streams already")
            self._roles[name] = role
            role.clients.append(client)
            client.role = role
        client.election_id = new_id
        return role

    @staticmethod
    def _role_config(message: p4r.MasterArbitrationUpdate) -> RoleConfig | None:
        return parse_role_config(message.role.config) if message.role.HasField("config") else None

    def _become_backup(self, role: Role, client: Client) -> None:
        if role.primary is client:
            role.primary = None
            self._notify_backups(role)
        else:
            client.notify(self._advice(role, Code.ALREADY_EXISTS if role.primary else Code.NOT_FOUND))

    def _notify_backups(self, role: Role) -> None:
        for client in role.clients:
            client.notify(self._advice(role, Code.NOT_FOUND))

    def _advice(self, role: Role, code: Code) -> p4r.MasterArbitrationUpdate:
        """The advisory message for one client ("Client Arbitration Notifications")."""
        message = p4r.MasterArbitrationUpdate(device_id=self.device_id)
        if role.message is not None:
            message.role.CopyFrom(role.message)
        elif role.name:
            message.role.name = role.name
        if role.highest is not None:
            message.election_id.high = role.highest >> 64
            message.election_id.low = role.highest & (1 << 64) - 1
        message.status.code = int(code)
        message.status.message = {
            Code.OK: "you are the primary",
            Code.ALREADY_EXISTS: "another client is the primary",
            Code.NOT_FOUND: "there is no primary",
        }[code]
        return message

    # -- access

    @contextmanager
    def writing(self, device_id: int, role_name: str, message: p4r.Uint128 | None) -> Iterator[RoleConfig | None]:
        """Hold a write of the primary in flight: no other client becomes primary before the block is left.

        Args:
            message: the election id of the request; None if it is unset.

        Yields:
            The role's configuration, None for full access.

        Raises:
            P4Error: NOT_FOUND or PERMISSION_DENIED, in the specification's order of checks.
        """
        with self._changed:
            role = self._role_for(device_id, role_name)
            primary = role.primary
            if primary is None:
                raise P4Error(Code.PERMISSION_DENIED, f"role {role_name!r} has no primary; open a stream and arbitrate")
            if message is None or primary.election_id != election_id(message):
                given = "no election id" if message is None else f"election id {election_id(message)}"
                raise P4Error(
                    Code.PERMISSION_DENIED,
                    f"only the primary may write: its election id is {primary.election_id}, the request has {given}",
                )
            role.writes_in_flight += 1
            config = role.config
        try:
            yield config
        finally:
            with self._changed:
                role.writes_in_flight -= 1
                if not role.writes_in_flight:
                    self._changed.notify_all()

    def _role_for(self, device_id: int, role_name: str) -> Role:
        self.check_device(device_id)
        role = self._roles.get(role_name)
        if role is None:
            raise P4Error(Code.NOT_FOUND, f"no client has arbitrated for role {role_name!r}")
        return role

    def check_device(self, device_id: int) -> None:
        """Raise NOT_FOUND unless `device_id` is this device's."""
        if device_id != self.device_id:
            raise P4Error(Code.NOT_FOUND, f"no device {device_id}; this is device {self.device_id}")

    def role_config(self, role_name: str) -> RoleConfig | None:
        """The configuration of a role for reading: None for full access, or for a role nobody has arbitrated for."""
        with self._changed:
            role = self._roles.get(role_name)
            return role.config if role else None

    def is_primary(self, client: Client) -> bool:
        """Whether `client` is the primary of its role now."""
        with self._changed:
            return client.role is not None and client.role.primary is client

    def primaries(self) -> list[tuple[Client, RoleConfig | None]]:
        """The primary of each role that has one, with the role's configuration."""
        with self._changed:
            return [(role.primary, role.config) for role in self._roles.values() if role.primary is not None]


def _role_message(message: p4r.MasterArbitrationUpdate) -> p4r.Role | None:
    if not message.HasField("role"):
        return None
    role = p4r.Role()
    role.CopyFrom(message.role)
    return role
