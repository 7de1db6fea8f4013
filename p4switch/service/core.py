"""One P4Runtime device: its clients, its configuration and its data plane, without gRPC."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Sequence
from contextlib import suppress

from google.protobuf.message import DecodeError

from p4base.messages import p4r
from p4switch.dataplane import Dataplane, DataplaneError, DigestList, Entry, WireDataplane
from p4switch.service.arbitration import Arbiter, Client
from p4switch.service.batch import write_batch, write_bytes
from p4switch.service.entity import ReadScope
from p4switch.service.errors import Code, P4Error, from_dataplane, invalid
from p4switch.service.locks import ReadWriteLock
from p4switch.service.memory import MemoryDataplane
from p4switch.service.pipeline import Pipeline, PipelineConfig
from p4switch.service.program import MalformedProgramError, unwrap_device_config
from p4switch.service.reading import read_batch
from p4switch.service.reconcile import installed_state, kept_arrays, rehearse, replay
from p4switch.service.table_entry import idle_notification

log = logging.getLogger(__name__)

API_VERSION = "1.5.0"
"""The version of the P4Runtime API that this service implements."""

_SetAction = p4r.SetForwardingPipelineConfigRequest
_Response = p4r.GetForwardingPipelineConfigRequest


class Device:
    """A device as P4Runtime sees it. Every method is safe to call from any thread.

    A configuration that was saved but not committed has a data plane in memory: reads and writes go there, and the writes
    are replayed when it is committed.
    """

    def __init__(self, device_id: int, dataplane: Dataplane) -> None:
        self.arbiter = Arbiter(device_id)
        self.dataplane = dataplane
        self._wired = dataplane if isinstance(dataplane, WireDataplane) else None
        self._lock = ReadWriteLock()
        self._committed: Pipeline | None = None
        self._saved: Pipeline | None = None
        self._since_saved: list[p4r.Update] = []
        dataplane.on_packet_in(self._packet_in)
        dataplane.on_digest(self._digest)
        dataplane.on_idle(self._idle)

    # -- Write and Read

    def write(self, request: p4r.WriteRequest) -> None:
        """The Write RPC.

        Raises:
            BatchError: some updates failed.
            P4Error: the request was refused as a whole.
        """
        with self.arbiter.writing(request.device_id, request.role, _election_id(request)) as role, self._lock.writing():
            if self._saved is not None:
                write_batch(self._saved, request.updates, request.atomicity, role, self._log_for_commit)
            else:
                write_batch(self._pipeline(), request.updates, request.atomicity, role)

    def write_bytes(self, request: bytes) -> None:
        """The Write RPC of a serialised WriteRequest.

        Raises:
            BatchError, P4Error: as `write`; INVALID_ARGUMENT if it is not a WriteRequest.
        """
        header = self._wired.wire_header(request) if self._wired is not None else None
        if header is None or header.atomicity not in p4r.WriteRequest.Atomicity.values():
            self.write(_parse(request))
            return
        try:
            role_name = header.role.decode()
        except UnicodeDecodeError:
            raise invalid("the request's role is not UTF-8") from None
        given = header.election_id
        message = None if given is None else p4r.Uint128(high=given >> 64, low=given & (1 << 64) - 1)
        with self.arbiter.writing(header.device_id, role_name, message) as role, self._lock.writing():
            codec = None if self._saved is not None or role is not None else self._pipeline().codec
            atomicity = p4r.WriteRequest.Atomicity.ValueType(header.atomicity)
            if codec is not None:
                write_bytes(self._pipeline(), codec, request, atomicity)
                return
            updates = _parse(request).updates
            if self._saved is not None:
                write_batch(self._saved, updates, atomicity, role, self._log_for_commit)
            else:
                write_batch(self._pipeline(), updates, atomicity, role)

    def read(self, request: p4r.ReadRequest) -> tuple[list[bytes], P4Error | None]:
        """The Read RPC: serialised ReadResponses, and the error to close the stream with.

        Raises:
            P4Error: the request was refused as a whole.
        """
        self.arbiter.check_device(request.device_id)
        scope = ReadScope(self.arbiter.role_config(request.role))
        with self._lock.reading():
            return read_batch(self._saved or self._pipeline(), request.entities, scope)

    def _pipeline(self) -> Pipeline:
        if self._committed is None:
            raise P4Error(Code.FAILED_PRECONDITION, "no forwarding pipeline config has been set")
        return self._committed

    def _log_for_commit(self, update: p4r.Update) -> None:
        copy = p4r.Update()
        copy.CopyFrom(update)
        self._since_saved.append(copy)

    # -- the forwarding pipeline configuration

    def set_config(self, request: p4r.SetForwardingPipelineConfigRequest) -> None:
        """The SetForwardingPipelineConfig RPC. What is installed stays as it is on every error."""
        with self.arbiter.writing(request.device_id, request.role, _election_id(request)) as role, self._lock.writing():
            if role is not None and not role.can_push_pipeline:
                raise P4Error(Code.PERMISSION_DENIED, "this client's role may not set the forwarding pipeline config")
            match request.action:
                case _SetAction.VERIFY:
                    self._verify(request)
                case _SetAction.VERIFY_AND_SAVE:
                    config = self._verify(request)
                    self._saved = Pipeline(config, self._staging(config))
                    self._since_saved = []
                case _SetAction.VERIFY_AND_COMMIT:
                    self._realize(self._read_config(request))
                case _SetAction.COMMIT:
                    self._commit(request)
                case _SetAction.RECONCILE_AND_COMMIT:
                    self._reconcile(self._read_config(request))
                case _:
                    raise invalid("the request has no action (VERIFY, VERIFY_AND_SAVE, VERIFY_AND_COMMIT, ...)")

    def _read_config(self, request: p4r.SetForwardingPipelineConfigRequest) -> PipelineConfig:
        message = _config(request)
        try:
            return PipelineConfig(message)
        except MalformedProgramError:
            try:
                self.dataplane.check(unwrap_device_config(message.p4_device_config))
            except DataplaneError as error:
                raise from_dataplane(error) from None
            raise

    def _verify(self, request: p4r.SetForwardingPipelineConfigRequest) -> PipelineConfig:
        config = self._read_config(request)
        try:
            self.dataplane.check(config.bmv2_json)
        except DataplaneError as error:
            raise from_dataplane(error) from None
        return config

    def _staging(self, config: PipelineConfig) -> MemoryDataplane:
        return MemoryDataplane(config.program, self.dataplane.has_port)

    def _realize(self, config: PipelineConfig, kept: Collection[str] = ()) -> Pipeline:
        """Load the configuration, with empty tables. `kept`: arrays that go on with their cells."""
        Pipeline(config, MemoryDataplane())  # whatever is wrong with it shows before anything is replaced
        try:
            self.dataplane.load(config.bmv2_json, kept)
        except DataplaneError as error:
            raise from_dataplane(error) from None
        if self._committed is not None:
            self._committed.release()
        self._committed = Pipeline(config, self.dataplane)
        self._saved = None
        self._since_saved = []
        log.info("pipeline committed, cookie 0x%x", config.message.cookie.cookie)
        return self._committed

    def _commit(self, request: p4r.SetForwardingPipelineConfigRequest) -> None:
        if request.HasField("config"):
            raise invalid("COMMIT takes no config, it realizes the saved one")
        if self._saved is None:
            raise P4Error(Code.NOT_FOUND, "no config has been saved that is not committed")
        updates = self._since_saved
        self._replay(updates, self._realize(self._saved.config))

    def _reconcile(self, config: PipelineConfig) -> None:
        current = self._committed
        if current is None:
            self._realize(config)
            return
        kept = kept_arrays(current.config, config)
        updates = installed_state(current, kept)
        rehearse(updates, config, self._staging(config))
        if config.bmv2_json == current.config.bmv2_json and config.message.p4info == current.config.message.p4info:
            current.config = config  # only the cookie differs
            self._saved = None
            return
        self._replay(updates, self._realize(config, kept))

    @staticmethod
    def _replay(updates: list[p4r.Update], pipeline: Pipeline) -> None:
        try:
            replay(updates, pipeline)
        except DataplaneError as error:
            raise from_dataplane(error) from None

    def get_config(self, request: p4r.GetForwardingPipelineConfigRequest) -> p4r.GetForwardingPipelineConfigResponse:
        """The GetForwardingPipelineConfig RPC."""
        self.arbiter.check_device(request.device_id)
        with self._lock.reading():
            pipeline = self._saved or self._committed
        response = p4r.GetForwardingPipelineConfigResponse()
        if pipeline is None:
            return response
        stored = pipeline.config.message
        config = response.config
        config.SetInParent()
        if stored.HasField("cookie"):
            config.cookie.CopyFrom(stored.cookie)
        if request.response_type in (_Response.ALL, _Response.P4INFO_AND_COOKIE):
            config.p4info.CopyFrom(stored.p4info)
        if request.response_type in (_Response.ALL, _Response.DEVICE_CONFIG_AND_COOKIE):
            config.p4_device_config = stored.p4_device_config
        return response

    def capabilities(self, request: p4r.CapabilitiesRequest) -> p4r.CapabilitiesResponse:
        """The Capabilities RPC."""
        device_id = getattr(request, "device_id", 0)  # not in the generated code of every P4Runtime version
        if device_id:
            self.arbiter.check_device(device_id)
        return p4r.CapabilitiesResponse(p4runtime_api_version=API_VERSION)

    # -- the stream

    def stream_message(self, client: Client, request: p4r.StreamMessageRequest) -> None:
        """Take one message of a client's stream.

        Raises:
            P4Error: the stream must be closed with this error. Only arbitration does so; other mistakes are answered
                by a StreamError.
        """
        match request.WhichOneof("update"):
            case "arbitration":
                self.arbiter.update(client, request.arbitration)
            case "packet":
                try:
                    self._packet_out(client, request.packet)
                except P4Error as error:
                    report = _stream_error(error)
                    report.packet_out.packet_out.CopyFrom(request.packet)
                    _offer_error(client, report)
            case "digest_ack":
                try:
                    self._acknowledge(client, request.digest_ack)
                except P4Error as error:
                    report = _stream_error(error)
                    report.digest_list_ack.digest_list_ack.CopyFrom(request.digest_ack)
                    _offer_error(client, report)
            case kind:
                report = _stream_error(
                    P4Error(Code.UNIMPLEMENTED, f"stream messages of kind {kind or '(unset)'} are not supported")
                )
                report.other.other.CopyFrom(request.other)
                _offer_error(client, report)

    def _packet_out(self, client: Client, packet: p4r.PacketOut) -> None:
        if not self.arbiter.is_primary(client):
            raise P4Error(Code.PERMISSION_DENIED, "only the primary may send packets")
        pipeline = self._pipeline()
        frame = pipeline.packet_out.encode(packet)
        try:
            self.dataplane.packet_out(frame)
        except DataplaneError as error:
            raise from_dataplane(error) from None

    def _acknowledge(self, client: Client, message: p4r.DigestListAck) -> None:
        if not self.arbiter.is_primary(client):
            raise P4Error(Code.PERMISSION_DENIED, "only the primary may acknowledge digests")
        self._pipeline().digests.acknowledge(message)

    def _digest(self, digest_list: DigestList) -> None:
        """Hand a list to the primary of every role that has the digest. Called from the data plane's thread."""
        pipeline = self._committed
        written = pipeline.digests.to_wire(digest_list) if pipeline is not None else None
        if written is None:
            return
        digest_id, message = written
        if not self._offer(digest_id, message):
            # Nobody to acknowledge it: whoever comes next is to learn it, too.
            with suppress(DataplaneError):
                self.dataplane.acknowledge_digest(digest_list.digest, digest_list.list_id)

    def _idle(self, table_name: str, entries: Sequence[Entry]) -> None:
        """Report idle entries likewise."""
        pipeline = self._committed
        if pipeline is not None:
            for table in pipeline.tables.values():
                if table.name == table_name:
                    self._offer(table.id, idle_notification(table, entries, time.time_ns()))

    def _offer(self, p4_id: int, message: bytes) -> bool:
        """Queue a notification about an object for the primaries whose role has it; false if there are none."""
        taken = False
        for client, role in self.arbiter.primaries():
            if role is None or p4_id in role.p4_ids:
                client.outbox.offer(message)
                taken = True
        return taken

    def _packet_in(self, frame: bytes) -> None:
        """Hand a frame to the primary of every role that is to see it. Called from the data plane's thread."""
        pipeline = self._committed
        if pipeline is None:
            return
        try:
            packet = pipeline.packet_in.decode(frame)
        except P4Error as error:
            log.warning("packet-in dropped: %s", error)
            return
        primaries = self.arbiter.primaries()
        if primaries:
            message = p4r.StreamMessageResponse(packet=packet).SerializeToString()
            for client, role in primaries:
                if role is None or role.admits_packet_in(packet):
                    client.outbox.offer(message)


def _parse(request: bytes) -> p4r.WriteRequest:
    try:
        return p4r.WriteRequest.FromString(request)
    except DecodeError:
        raise invalid("the request is not a p4.v1.WriteRequest") from None


def _election_id(request: p4r.WriteRequest | p4r.SetForwardingPipelineConfigRequest) -> p4r.Uint128 | None:
    return request.election_id if request.HasField("election_id") else None


def _config(request: p4r.SetForwardingPipelineConfigRequest) -> p4r.ForwardingPipelineConfig:
    if not request.HasField("config"):
        raise invalid("the request has no config")
    return request.config


def _stream_error(error: P4Error) -> p4r.StreamError:
    return p4r.StreamError(canonical_code=int(error.code), message=str(error))


def _offer_error(client: Client, report: p4r.StreamError) -> None:
    client.outbox.offer(p4r.StreamMessageResponse(error=report).SerializeToString())
