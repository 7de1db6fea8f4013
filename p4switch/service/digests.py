"""Digests: their configuration, the lists that are sent and their acknowledgement (specification, "DigestEntry")."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from p4base.messages import p4i, p4r
from p4switch.dataplane import Dataplane, DataplaneError, DigestConfig, DigestList
from p4switch.service import wire
from p4switch.service.entity import DELETE, DIGEST_ENTRY, INSERT, Emit, ReadScope, answer
from p4switch.service.errors import Code, P4Error, from_dataplane, invalid
from p4switch.service.p4data import Codec, make_codec, split
from p4switch.service.program import DeviceProgram

_answer = answer(DIGEST_ENTRY)

# Field numbers of DigestList and of StreamMessageResponse.
_DIGEST_ID = 1
_LIST_ID = 2
_DATA = 3
_TIMESTAMP = 4
_STREAM_DIGEST = 3


@dataclass(slots=True)
class Digest:
    """One digest.

    Attributes:
        codec: None if its type is one that this service cannot write.
        widths: the data plane's bits of each number of a sample.
        config: None while it is not enabled; as the client wrote it.
    """

    id: int
    name: str
    codec: Codec | None
    widths: tuple[int, ...]
    config: p4r.DigestEntry.Config | None = None


def build_digests(p4info: p4i.P4Info, program: DeviceProgram) -> dict[int, Digest]:
    """The digests of a P4Info, none of them enabled."""
    return {
        info.preamble.id: Digest(
            id=info.preamble.id,
            name=info.preamble.name,
            codec=make_codec(info.type_spec, p4info.type_info),
            widths=program.digests[info.preamble.name],
        )
        for info in p4info.digests
    }


class DigestHandler:
    """`DigestEntry`, `DigestList` and `DigestListAck`."""

    def __init__(self, digests: Mapping[int, Digest], dataplane: Dataplane) -> None:
        self._digests = digests
        self._by_name = {digest.name: digest for digest in digests.values()}
        self._dataplane = dataplane

    def p4_id(self, message: p4r.DigestEntry) -> int:
        return message.digest_id

    def _find(self, digest_id: int) -> Digest:
        digest = self._digests.get(digest_id)
        if digest is None:
            raise invalid(f"no digest has the id 0x{digest_id:08x}")
        return digest

    def write(self, kind: int, message: p4r.DigestEntry) -> None:
        digest = self._find(message.digest_id)
        if kind == INSERT and digest.config is not None:
            raise P4Error(Code.ALREADY_EXISTS, f"digest {digest.name} is enabled already")
        if kind != INSERT and digest.config is None:
            raise P4Error(Code.NOT_FOUND, f"digest {digest.name} is not enabled")
        if kind == DELETE:
            self._dataplane.configure_digest(digest.name, None)
            digest.config = None
            return
        if digest.codec is None:
            raise P4Error(Code.UNIMPLEMENTED, f"digest {digest.name} is of a type that this device cannot send")
        config = p4r.DigestEntry.Config()
        config.CopyFrom(message.config)
        for field in ("max_timeout_ns", "max_list_size", "ack_timeout_ns"):
            if getattr(config, field) < 0:
                raise invalid(f"digest {digest.name}: {field} {getattr(config, field)} is negative")
        self._dataplane.configure_digest(
            digest.name, DigestConfig(config.max_timeout_ns, config.max_list_size, config.ack_timeout_ns)
        )
        digest.config = config

    def read(self, message: p4r.DigestEntry, scope: ReadScope, emit: Emit) -> None:
        if not message.digest_id:
            digests = [d for d in self._digests.values() if scope.sees(d.id)]
        else:
            digests = [self._find(message.digest_id)]
            scope.check(digests[0].id, digests[0].name)
        for digest in digests:
            for entity in _installed(digest):
                emit(_answer(entity.digest_entry.SerializeToString()))

    def snapshot(self, message: p4r.DigestEntry) -> Iterable[p4r.Entity]:
        return _installed(self._find(message.digest_id))

    # -- the stream

    def acknowledge(self, message: p4r.DigestListAck) -> None:
        """Let the samples of a list be sent again.

        Raises:
            P4Error: INVALID_ARGUMENT or NOT_FOUND.
        """
        digest = self._find(message.digest_id)
        try:
            self._dataplane.acknowledge_digest(digest.name, message.list_id)
        except DataplaneError as error:
            raise from_dataplane(error) from None

    def to_wire(self, digest_list: DigestList) -> tuple[int, bytes] | None:
        """The digest's id and a serialised StreamMessageResponse; None if the digest is not enabled (any more)."""
        digest = self._by_name.get(digest_list.digest)
        if digest is None or digest.config is None or digest.codec is None:
            return None
        codec = digest.codec
        body = b"".join(
            (
                wire.varint_field(_DIGEST_ID, digest.id),
                wire.varint_field(_LIST_ID, digest_list.list_id),
                *(
                    wire.bytes_field(_DATA, codec.to_wire(split(sample, digest.widths)))
                    for sample in digest_list.samples
                ),
                wire.varint_field(_TIMESTAMP, digest_list.timestamp_ns),
            )
        )
        return digest.id, wire.bytes_field(_STREAM_DIGEST, body)


def _installed(digest: Digest) -> list[p4r.Entity]:
    if digest.config is None:
        return []
    return [p4r.Entity(digest_entry=p4r.DigestEntry(digest_id=digest.id, config=digest.config))]
