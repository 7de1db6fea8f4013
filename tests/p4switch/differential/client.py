"""A P4Runtime client that tells what a switch made of each update, and collects what the switch sends of itself."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import grpc

from p4base.messages import p4i, p4r, rpc_status
from p4base.rpc import p4r_grpc

DEVICE_ID = 3
_ELECTION = p4r.Uint128(low=1)


@dataclass
class P4RuntimeClient:
    """The primary of a switch.

    Attributes:
        digests, packets: what has come so far.
        refusals: of the last `write`, the message for each update that was refused.
    """

    address: str
    digests: list[p4r.DigestList] = field(default_factory=list)
    packets: list[p4r.PacketIn] = field(default_factory=list)
    refusals: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        options = [("grpc.max_metadata_size", 1 << 20), ("grpc.max_receive_message_length", 64 << 20)]
        self._channel = grpc.insecure_channel(self.address, options=options)
        self._stub = p4r_grpc.P4RuntimeStub(self._channel)
        self._requests: queue.SimpleQueue[p4r.StreamMessageRequest | None] = queue.SimpleQueue()
        stream = self._stub.StreamChannel(iter(self._requests.get, None), wait_for_ready=True)
        first = p4r.StreamMessageRequest()
        first.arbitration.device_id = DEVICE_ID
        first.arbitration.election_id.CopyFrom(_ELECTION)
        self._requests.put(first)
        assert next(iter(stream)).arbitration.status.code == 0
        self._reader = threading.Thread(target=self._collect, args=(stream,), daemon=True)
        self._reader.start()

    def _collect(self, stream: Iterator[p4r.StreamMessageResponse]) -> None:
        try:
            for message in stream:
                if message.HasField("digest"):
                    self.digests.append(message.digest)
                elif message.HasField("packet"):
                    self.packets.append(message.packet)
        except grpc.RpcError:
            pass  # the switch, or this client, is closing

    def configure(self, p4info: p4i.P4Info, bmv2_json: bytes) -> None:
        request = p4r.SetForwardingPipelineConfigRequest(
            device_id=DEVICE_ID,
            election_id=_ELECTION,
            action=p4r.SetForwardingPipelineConfigRequest.VERIFY_AND_COMMIT,
            config=p4r.ForwardingPipelineConfig(p4info=p4info, p4_device_config=bmv2_json),
        )
        self._stub.SetForwardingPipelineConfig(request, timeout=300)

    def write(self, updates: Sequence[p4r.Update]) -> list[bool]:
        """Which of the updates were carried out."""
        self.refusals = {}
        request = p4r.WriteRequest(device_id=DEVICE_ID, election_id=_ELECTION, updates=updates)
        try:
            self._stub.Write(request, timeout=300)
        except grpc.RpcError as error:
            assert isinstance(error, grpc.Call)
            status = rpc_status.Status.FromString(dict(error.trailing_metadata())["grpc-status-details-bin"])
            for index, detail in enumerate(status.details):
                refusal = p4r.Error()
                detail.Unpack(refusal)
                if refusal.canonical_code:
                    self.refusals[index] = f"{refusal.canonical_code}: {refusal.message}"
            assert self.refusals, error
        return [index not in self.refusals for index in range(len(updates))]

    def read(self, *entities: p4r.Entity) -> list[p4r.Entity]:
        request = p4r.ReadRequest(device_id=DEVICE_ID, entities=entities)
        return [entity for response in self._stub.Read(request, timeout=300) for entity in response.entities]

    def packet_out(self, packet: p4r.PacketOut) -> None:
        self._requests.put(p4r.StreamMessageRequest(packet=packet))

    def acknowledge(self, digest: p4r.DigestList) -> None:
        ack = p4r.DigestListAck(digest_id=digest.digest_id, list_id=digest.list_id)
        self._requests.put(p4r.StreamMessageRequest(digest_ack=ack))

    def close(self) -> None:
        self._requests.put(None)
        self._channel.close()
        self._reader.join(10)


def until(condition: Callable[[], bool], seconds: float = 60.0) -> bool:
    """Whether something came true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.002)
    return True
