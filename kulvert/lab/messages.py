"""What the lab and the agent in a pod say to each other: one JSON document a line, requests in, replies out."""

from __future__ import annotations

import msgspec


class ServeHttp(msgspec.Struct, frozen=True, tag=True):
    """Answer HTTP on `port`, both families, with a `ServedBy`.

    `GET /` names this pod. `GET /upstream` fetches `upstream` first and names the pod that answered there, too.
    """

    port: int
    upstream: str = ""


class ServeUdp(msgspec.Struct, frozen=True, tag=True):
    """Answer each datagram to `port`, both families, with this pod's name."""

    port: int


class Ping(msgspec.Struct, frozen=True, tag=True):
    """Send `count` echo requests to `address`, one every 50 ms; wait `timeout` seconds for each reply."""

    address: str
    count: int = 3
    timeout: float = 10.0


class HttpGet(msgspec.Struct, frozen=True, tag=True):
    """One request on a connection of its own; `timeout` (seconds) bounds connecting and each read."""

    address: str
    port: int
    path: str = "/"
    timeout: float = 20.0


class UdpAsk(msgspec.Struct, frozen=True, tag=True):
    """One datagram from each of `flows` sockets of its own (so, source ports), all waiting `timeout` seconds at most."""

    address: str
    port: int
    flows: int = 1
    timeout: float = 10.0


class StartLoad(msgspec.Struct, frozen=True, tag=True):
    """Begin `per_second` new HTTP connections a second to each of `addresses` in turn, until StopLoad of that name."""

    name: str
    addresses: tuple[str, ...]
    port: int
    per_second: float = 3.0


class StartStream(msgspec.Struct, frozen=True, tag=True):
    """Begin a request every `interval` seconds on one and the same connection, until StopLoad of that name."""

    name: str
    address: str
    port: int
    interval: float = 0.33


class StopLoad(msgspec.Struct, frozen=True, tag=True):
    """End the load or stream of that name and report."""

    name: str


Request = ServeHttp | ServeUdp | Ping | HttpGet | UdpAsk | StartLoad | StartStream | StopLoad


class Done(msgspec.Struct, frozen=True, tag=True):
    """It is done; there is nothing to tell."""


class PingReply(msgspec.Struct, frozen=True, tag=True):
    """`sent` requests, `received` replies, the mean round trip in milliseconds (0 without replies)."""

    sent: int
    received: int
    milliseconds: float


class HttpReply(msgspec.Struct, frozen=True, tag=True):
    """The pod that answered (`served_by` empty and `error` set if none did), and over which pod it asked (`upstream`)."""

    served_by: str
    milliseconds: float
    error: str = ""
    upstream: str = ""
    client: str = ""


class UdpReply(msgspec.Struct, frozen=True, tag=True):
    """How many flows each pod answered; `lost` got no answer."""

    served_by: dict[str, int]
    lost: int


class LoadReply(msgspec.Struct, frozen=True, tag=True):
    """What became of a load or stream: requests made, which pods answered how many, and every failure's description."""

    requests: int
    served_by: dict[str, int]
    failures: tuple[str, ...]
    seconds: float
    slowest_milliseconds: float


class Failed(msgspec.Struct, frozen=True, tag=True):
    """The agent could not do it (a mistake of the lab's, or of the machine's: a port in use)."""

    error: str


Reply = Done | PingReply | HttpReply | UdpReply | LoadReply | Failed


class ServedBy(msgspec.Struct, frozen=True):
    """The body of an HTTP answer."""

    pod: str
    client: str
    upstream: str = ""


class Call(msgspec.Struct, frozen=True):
    """A numbered request; its answer carries the same number, in whatever order answers come."""

    number: int
    request: Request


class Answer(msgspec.Struct, frozen=True):
    """The answer to the call of that number."""

    number: int
    reply: Reply
