"""The process inside a pod: real servers and clients on the pod's own Linux network stack.

    python -m kulvert.lab.agent --name POD --netns PATH

Joins the network namespace PATH, then serves `Call`s from standard input until it ends. Each call has a thread of its own.
"""

from __future__ import annotations

import argparse
import http.client
import os
import select
import signal
import socket
import struct
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from urllib.parse import urlsplit

import msgspec

from kulvert.lab.messages import (
    Answer,
    Call,
    Done,
    Failed,
    HttpGet,
    HttpReply,
    LoadReply,
    Ping,
    PingReply,
    Reply,
    Request,
    ServedBy,
    ServeHttp,
    ServeUdp,
    StartLoad,
    StartStream,
    StopLoad,
    UdpAsk,
    UdpReply,
)
from kulvert.lab.syscalls import CloneFlag, setns

_ICMP_ECHO_REQUEST, _ICMP_ECHO_REPLY = 8, 0
_ICMPV6_ECHO_REQUEST, _ICMPV6_ECHO_REPLY = 128, 129

_LOAD_SECONDS = 15.0
"""How long a load waits for an answer before it counts as a failure."""


class Agent:
    """One pod's servers, clients and running loads."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._loads: dict[str, Load] = {}
        self._output = threading.Lock()

    def serve(self) -> None:
        """Answer calls until standard input ends."""
        decoder = msgspec.json.Decoder(Call)
        for line in sys.stdin.buffer:
            call = decoder.decode(line)
            threading.Thread(target=self._answer, args=(call,), daemon=True).start()

    def _answer(self, call: Call) -> None:
        try:
            reply = self._perform(call.request)
        except Exception as error:  # told to the lab, which reports it with the pod's name
            reply = Failed(f"{type(error).__name__}: {error}")
        line = msgspec.json.encode(Answer(call.number, reply)) + b"\n"
        with self._output:
            sys.stdout.buffer.write(line)
            sys.stdout.buffer.flush()

    def _perform(self, request: Request) -> Reply:
        match request:
            case ServeHttp():
                serve_http(self.name, request)
                return Done()
            case ServeUdp():
                serve_udp(self.name, request.port)
                return Done()
            case Ping():
                return ping(request)
            case HttpGet():
                return http_get(request)
            case UdpAsk():
                return udp_ask(request)
            case StartLoad():
                return self._start(request.name, lambda load: run_load(request, load))
            case StartStream():
                return self._start(request.name, lambda load: run_stream(request, load))
            case StopLoad():
                return self._loads.pop(request.name).stop()

    def _start(self, name: str, body: Callable[[Load], None]) -> Done:
        if name in self._loads:
            raise ValueError(f"a load named {name!r} is running")
        self._loads[name] = Load(body)
        return Done()


class Load:
    """A load running in a thread, and what became of its requests."""

    def __init__(self, body: Callable[[Load], None]) -> None:
        self.stopping = threading.Event()
        self._lock = threading.Lock()
        self._requests = 0
        self._served_by: Counter[str] = Counter()
        self._failures: list[str] = []
        self._slowest = 0.0
        self._started = time.monotonic()
        self._thread = threading.Thread(target=body, args=(self,), daemon=True)
        self._thread.start()

    def note(self, reply: HttpReply) -> None:
        """Count one request's outcome."""
        with self._lock:
            self._requests += 1
            self._slowest = max(self._slowest, reply.milliseconds)
            if reply.error:
                self._failures.append(f"at {time.monotonic() - self._started:.1f} s: {reply.error}")
            else:
                self._served_by[reply.served_by] += 1

    def stop(self) -> LoadReply:
        """End the load, wait for its outstanding requests, and tell."""
        self.stopping.set()
        seconds = time.monotonic() - self._started
        self._thread.join(timeout=2 * _LOAD_SECONDS)
        with self._lock:
            return LoadReply(
                requests=self._requests,
                served_by=dict(self._served_by),
                failures=tuple(self._failures),
                seconds=seconds,
                slowest_milliseconds=self._slowest,
            )


# -- servers


class _HttpServer(ThreadingHTTPServer):
    """Both families on one port, threads that die with the process."""

    address_family = socket.AF_INET6
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, pod: str, request: ServeHttp) -> None:
        self.pod = pod
        self.upstream = request.upstream
        super().__init__(("::", request.port), _HttpHandler)

    def server_bind(self) -> None:
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        socket.socket.bind(
            self.socket, self.server_address
        )  # HTTPServer's own looks the host's name up, which has none
        self.server_name, self.server_port = self.pod, int(self.server_address[1])

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is the client's affair."""


class _HttpServerIpv4(_HttpServer):
    """For a kernel without IPv6."""

    address_family = socket.AF_INET

    def server_bind(self) -> None:
        self.server_address = ("0.0.0.0", self.server_address[1])
        socket.socket.bind(self.socket, self.server_address)
        self.server_name, self.server_port = self.pod, int(self.server_address[1])


class _HttpHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _HttpServer
    timeout = 60

    def do_GET(self) -> None:
        upstream = ""
        if self.path.startswith("/upstream"):
            parts = urlsplit(self.server.upstream)
            reply = http_get(HttpGet(parts.hostname or "", parts.port or 80))
            if reply.error:
                self.send_error(502, f"{self.server.upstream}: {reply.error}")
                return
            upstream = reply.served_by
        body = msgspec.json.encode(ServedBy(self.server.pod, str(self.client_address[0]), upstream))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Standard error is for failures."""


def serve_http(pod: str, request: ServeHttp) -> None:
    """Start an HTTP server in a thread. Raises OSError if the port is taken."""
    server = (_HttpServer if socket.has_dualstack_ipv6() else _HttpServerIpv4)(pod, request)
    threading.Thread(target=server.serve_forever, daemon=True).start()


def serve_udp(pod: str, port: int) -> None:
    """Start a UDP responder in a thread for each family.

    Answers leave from the address that was asked: with one address a family and pod, the kernel's choice is that one.
    """
    families = [socket.AF_INET, socket.AF_INET6] if socket.has_dualstack_ipv6() else [socket.AF_INET]
    for family in families:
        server = socket.socket(family, socket.SOCK_DGRAM)
        if family == socket.AF_INET6:
            server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        server.bind(("", port))
        threading.Thread(target=_respond_udp, args=(server, pod.encode()), daemon=True).start()


def _respond_udp(server: socket.socket, answer: bytes) -> None:
    while True:
        try:
            _, client = server.recvfrom(65535)
            server.sendto(answer, client)
        except OSError:  # an ICMP error for an earlier answer
            continue


# -- clients


def http_get(request: HttpGet) -> HttpReply:
    """One GET on a new connection."""
    connection = http.client.HTTPConnection(request.address, request.port, timeout=request.timeout)
    try:
        return _exchange(connection, request.path)
    finally:
        connection.close()


def _exchange(connection: http.client.HTTPConnection, path: str) -> HttpReply:
    """One GET on `connection`, which is opened if it is not; failures are told, not raised."""
    started = time.monotonic()
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read()
        elapsed = (time.monotonic() - started) * 1000
        if response.status != 200:
            return HttpReply("", elapsed, error=f"HTTP {response.status} {response.reason}")
        served = msgspec.json.decode(body, type=ServedBy)
    except (OSError, http.client.HTTPException, msgspec.MsgspecError) as error:
        elapsed = (time.monotonic() - started) * 1000
        return HttpReply("", elapsed, error=_describe(error))
    return HttpReply(served.pod, elapsed, upstream=served.upstream, client=served.client)


def _describe(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "timed out"
    if isinstance(error, ConnectionRefusedError):
        return "refused"
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__


def udp_ask(request: UdpAsk) -> UdpReply:
    """Ask over many flows at once and count who answers."""
    family = _family_of(request.address)
    served_by: Counter[str] = Counter()
    pending: dict[socket.socket, None] = {}
    try:
        for _ in range(request.flows):
            flow = socket.socket(family, socket.SOCK_DGRAM)
            flow.setblocking(False)
            pending[flow] = None
            flow.connect((request.address, request.port))
            flow.send(b"who is there?")
        lost = 0
        deadline = time.monotonic() + request.timeout
        is_late = False
        while pending and not is_late:
            left = deadline - time.monotonic()
            is_late = left <= 0  # one more look at what came while this process was kept waiting
            for flow in select.select(list(pending), [], [], max(left, 0))[0]:
                try:
                    served_by[flow.recv(1500).decode(errors="replace")] += 1
                except OSError:  # refused by an ICMP error
                    lost += 1
                del pending[flow]
                flow.close()
        return UdpReply(dict(served_by), lost + len(pending))
    finally:
        for flow in pending:
            flow.close()


def ping(request: Ping) -> PingReply:
    """ICMP or ICMPv6 echo over a raw socket."""
    family = _family_of(request.address)
    ipv6 = family == socket.AF_INET6
    protocol = socket.IPPROTO_ICMPV6 if ipv6 else socket.IPPROTO_ICMP
    identifier = threading.get_native_id() & 0xFFFF
    times: list[float] = []
    with socket.socket(family, socket.SOCK_RAW, protocol) as wire:
        wire.connect((request.address, 0))
        for sequence in range(request.count):
            wire.send(_echo_request(ipv6, identifier, sequence))
            started = time.monotonic()
            if _await_echo(wire, ipv6, identifier, sequence, request.timeout):
                times.append((time.monotonic() - started) * 1000)
            time.sleep(0.05)
    return PingReply(request.count, len(times), sum(times) / len(times) if times else 0.0)


def _echo_request(ipv6: bool, identifier: int, sequence: int) -> bytes:
    payload = b"kulvert lab ping"
    kind = _ICMPV6_ECHO_REQUEST if ipv6 else _ICMP_ECHO_REQUEST
    header = struct.pack("!BBHHH", kind, 0, 0, identifier, sequence)
    if not ipv6:  # the kernel fills in ICMPv6's checksum, but not ICMP's
        checksum = internet_checksum(header + payload)
        header = struct.pack("!BBHHH", kind, 0, checksum, identifier, sequence)
    return header + payload


def internet_checksum(data: bytes) -> int:
    """RFC 1071."""
    total = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + b"\0" * (len(data) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return int(~total & 0xFFFF)


def _await_echo(wire: socket.socket, ipv6: bool, identifier: int, sequence: int, timeout: float) -> bool:
    wanted = (_ICMPV6_ECHO_REPLY if ipv6 else _ICMP_ECHO_REPLY, identifier, sequence)
    deadline = time.monotonic() + timeout
    while (left := deadline - time.monotonic()) > 0:
        wire.settimeout(left)
        try:
            packet = wire.recv(2048)
        except TimeoutError:
            return False
        except OSError:  # an ICMP error: unreachable
            return False
        start = 0 if ipv6 else (packet[0] & 0x0F) * 4  # a raw ICMP socket hands over the IPv4 header, too
        kind, _, _, got_identifier, got_sequence = struct.unpack_from("!BBHHH", packet, start)
        if (kind, got_identifier, got_sequence) == wanted:
            return True
    return False


def _family_of(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ip_address(address).version == 6 else socket.AF_INET


# -- loads


def run_load(request: StartLoad, load: Load) -> None:
    """New connections at a steady rate, each in a thread of its own, so that a slow one delays no other."""
    period = 1 / request.per_second
    due = time.monotonic()
    count = 0
    threads: list[threading.Thread] = []
    while not load.stopping.is_set():
        address = request.addresses[count % len(request.addresses)]
        get = HttpGet(address, request.port, timeout=_LOAD_SECONDS)
        thread = threading.Thread(target=lambda get=get: load.note(http_get(get)), daemon=True)
        thread.start()
        threads.append(thread)
        count += 1
        due += period
        load.stopping.wait(max(0.0, due - time.monotonic()))
    for thread in threads:
        thread.join(timeout=_LOAD_SECONDS)


def run_stream(request: StartStream, load: Load) -> None:
    """Requests on one connection. A connection that breaks is not opened again: that is what is being watched."""
    connection = http.client.HTTPConnection(request.address, request.port, timeout=_LOAD_SECONDS)
    connection.connect()
    connection.auto_open = 0
    try:
        while not load.stopping.is_set():
            load.note(_exchange(connection, "/"))
            load.stopping.wait(request.interval)
    finally:
        connection.close()


def main() -> None:
    """Join the namespace and serve."""
    parser = argparse.ArgumentParser(prog="python -m kulvert.lab.agent", description=__doc__)
    parser.add_argument("--name", required=True, help="the pod's name")
    parser.add_argument("--netns", required=True, help="path of its network namespace")
    options = parser.parse_args()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    fd = os.open(options.netns, os.O_RDONLY)
    setns(fd, CloneFlag.NEWNET)
    os.close(fd)
    Agent(options.name).serve()


if __name__ == "__main__":
    main()
