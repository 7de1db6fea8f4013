"""The demonstration: the three-tier search application under real traffic, every expectation checked.

The manifests are in `kulvert/lab/manifests`: a search store of three replicas that a NetworkPolicy opens to its two
neighbours alone, an ingest and a dashboard in front of it, and a visitor from another namespace.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from kulvert.lab.inventory import LabPod, LabService
from kulvert.lab.lab import Lab, Progress
from kulvert.lab.messages import (
    Done,
    HttpGet,
    HttpReply,
    LoadReply,
    Ping,
    PingReply,
    Reply,
    StartLoad,
    StartStream,
    StopLoad,
    UdpAsk,
    UdpReply,
)
from kulvert.lab.pods import PodAgent
from kulvert.lab.report import Contact, Reach, Report

MANIFESTS = Path(__file__).resolve().parent / "manifests"

_ANSWER_SECONDS = 20.0
"""How long an answer that has to come is waited for: on a machine that is busy with other things, long."""

_DENIED_SECONDS = 1.0
"""How long a connection that policy forbids is waited for. A TCP stack repeats its SYN after one second."""

_UDP_FLOWS = 90
_LARGEST_SHARE = 0.6
"""Of 90 flows over 3 endpoints; an even hash gives one endpoint 60 % or more once in ten million runs."""

_LOAD_RATE = 3.0

_LEAST_OF_LOAD = 0.5
"""Of the connections that a load should have opened: so many show that it went on, on a busy machine as well."""

_CHANGE_SECONDS = 30.0
"""How long a change of the manifests may take to reach the switch."""

_TIMED_OUT, _REFUSED = "timed out", "refused"  # the agent's words

_PODS = "Pod to pod"
_SERVICES = "Services"
_POLICY = "NetworkPolicy"
_CHANGES = "Changes while connections are open"


@dataclass(frozen=True, slots=True)
class _Peers:
    """The application's parts, by role."""

    visitor: LabPod
    dashboard: LabPod
    ingest: LabPod
    stores: tuple[LabPod, ...]
    store_service: LabService
    dashboard_service: LabService
    ingest_service: LabService
    empty_service: LabService


class Demo:
    """One run of the demonstration over a started lab."""

    def __init__(self, lab: Lab, progress: Progress) -> None:
        self._lab = lab
        self._progress = progress
        self.report = Report()
        inventory = lab.inventory
        self._peers = _Peers(
            visitor=inventory.pods_of("visitor")[0],
            dashboard=inventory.pods_of("dashboard")[0],
            ingest=inventory.pods_of("ingest")[0],
            stores=inventory.pods_of("search-store"),
            store_service=inventory.service("search-store"),
            dashboard_service=inventory.service("dashboard"),
            ingest_service=inventory.service("ingest"),
            empty_service=inventory.service("reports"),
        )
        self._versions = (4, 6) if lab.network.has_ipv6 else (4,)
        if 6 not in self._versions:
            self.report.notes.append("this kernel has no IPv6; only IPv4 was tried")

    def run(self) -> Report:
        """Try everything; what was found."""
        steps: Sequence[tuple[str, Callable[[], None]]] = (
            ("pods reach one another", self._try_pods),
            ("Services answer", self._try_services),
            ("UDP spreads over the endpoints", self._try_spread),
            ("the policy holds", self._try_policy),
            ("who may talk to whom", self._try_contacts),
            ("connections outlive changes", self._try_changes),
        )
        for what, step in steps:
            self._progress(what)
            step()
        return self.report

    # -- pod to pod

    def _try_pods(self) -> None:
        peers = self._peers
        for version in self._versions:
            self._expect_ping(peers.visitor, peers.dashboard, version)
            self._expect_ping(peers.dashboard, peers.ingest, version)
        for version in self._versions:
            address = _address(peers.dashboard, version)
            reply = self._get(peers.visitor, address, peers.dashboard.ports[0].number)
            self._expect_answer(_PODS, f"visitor -> dashboard pod, HTTP over IPv{version}", reply, [peers.dashboard])
            udp = self._ask(peers.ingest, _address(peers.stores[0], version), 8125, flows=3)
            self._expect_udp(_PODS, f"ingest -> a search-store pod, UDP over IPv{version}", udp, [peers.stores[0]], 3)

    def _expect_ping(self, source: LabPod, destination: LabPod, version: int) -> None:
        reply = self._lab.agent(source).call(Ping(_address(destination, version)), PingReply)
        self.report.expect(
            _PODS,
            f"{source.app} -> {destination.app}, ping over IPv{version}",
            expected=f"{reply.sent} replies",
            found=f"{reply.received} replies, {reply.milliseconds:.2f} ms" if reply.received else "no reply",
            held=reply.received == reply.sent,
        )

    # -- Services

    def _try_services(self) -> None:
        peers = self._peers
        for version in self._versions:
            page = self._get(peers.visitor, _address(peers.dashboard_service, version), 80)
            self._expect_answer(_SERVICES, f"visitor -> dashboard:80, HTTP over IPv{version}", page, [peers.dashboard])
        node, node_port = self._lab.inventory.node, peers.dashboard_service.node_port
        for version in self._versions:
            address = node.address(version)
            assert address is not None, f"{node.name} has no IPv{version} address"
            page = self._get(peers.visitor, address, node_port)
            what = f"visitor -> the node:{node_port}, the dashboard's node port, HTTP over IPv{version}"
            self._expect_answer(_SERVICES, what, page, [peers.dashboard], client=address)
        search = self._get(peers.visitor, _address(peers.dashboard_service, 4), 80, path="/upstream")
        self._expect_answer(
            _SERVICES,
            "visitor -> dashboard -> search-store, three tiers",
            search,
            [peers.dashboard],
            upstream=peers.stores,
        )
        for version in self._versions:
            refused = self._get(peers.visitor, _address(peers.empty_service, version), 80)
            self._expect_refusal(f"visitor -> reports:80 over IPv{version}, which has no endpoints", refused)
            wrong = self._get(peers.visitor, _address(peers.dashboard_service, version), 81)
            self._expect_refusal(f"visitor -> dashboard:81 over IPv{version}, which it does not serve", wrong)

    def _expect_refusal(self, what: str, reply: HttpReply) -> None:
        found = f"{reply.error or 'connected'} in {reply.milliseconds:.1f} ms"
        self.report.expect(_SERVICES, what, expected="refused at once", found=found, held=reply.error == _REFUSED)

    def _try_spread(self) -> None:
        peers = self._peers
        for version in self._versions:
            address = _address(peers.store_service, version)
            udp = self._ask(peers.ingest, address, 8125, flows=_UDP_FLOWS)
            what = f"ingest -> search-store:8125, {_UDP_FLOWS} UDP flows over IPv{version}"
            self._expect_udp(_SERVICES, what, udp, peers.stores, _UDP_FLOWS, spread=True)
        replies = self._get_many(peers.ingest, _address(peers.store_service, 4), 9200, 30)
        served = Counter(reply.served_by for reply in replies if not reply.error)
        failed = sum(bool(reply.error) for reply in replies)
        self.report.expect(
            _SERVICES,
            "ingest -> search-store:9200, 30 HTTP connections",
            expected="all answered, by all three replicas",
            found=_shares(dict(served), failed),
            held=failed == 0 and set(served) == {pod.name for pod in peers.stores},
        )

    # -- policy

    def _try_policy(self) -> None:
        peers, store = self._peers, self._peers.stores[0]
        for version in self._versions:
            allowed = self._get(peers.dashboard, _address(store, version), 9200)
            self._expect_answer(_POLICY, f"dashboard -> a search-store pod:9200 over IPv{version}", allowed, [store])
            for what, address in (
                ("a search-store pod", _address(store, version)),
                ("search-store, by Service", _address(peers.store_service, version)),
            ):
                denied = self._get(peers.visitor, address, 9200, timeout=_DENIED_SECONDS)
                self._expect_denial(f"visitor -> {what}:9200 over IPv{version}", denied.error)
            udp = self._ask(peers.visitor, _address(peers.store_service, version), 8125, flows=3, timeout=0.5)
            self._expect_denial(
                f"visitor -> search-store:8125 over IPv{version}, UDP",
                "" if udp.served_by else _TIMED_OUT,
            )
        ping = self._lab.agent(peers.visitor).call(Ping(_address(store, 4), count=2, timeout=0.5), PingReply)
        self._expect_denial("visitor -> a search-store pod, ping", "" if ping.received else _TIMED_OUT)
        other_port = self._get(peers.dashboard, _address(store, 4), 8125, timeout=_DENIED_SECONDS)
        self._expect_denial("dashboard -> a search-store pod:8125 over TCP, which is open for UDP", other_port.error)
        probe = self._lab.node_agent.call(HttpGet(_address(store, 4), 9200, timeout=_ANSWER_SECONDS), HttpReply)
        self._expect_answer(_POLICY, "the node -> a search-store pod:9200 (a kubelet's probe)", probe, [store])

    def _expect_denial(self, what: str, error: str) -> None:
        """`error` is how the connection ended, empty if it came about."""
        held = error in (_TIMED_OUT, _REFUSED)
        self.report.expect(_POLICY, what, expected="no connection", found=error or "CONNECTED", held=held)

    def _try_contacts(self) -> None:
        """Every source to every Service but its own, where it may meet itself, all at once, over both families."""
        peers = self._peers
        sources = (peers.visitor, peers.dashboard, peers.ingest, peers.stores[0])
        services = (peers.dashboard_service, peers.ingest_service, peers.store_service)
        may_use_store = {peers.dashboard.app, peers.ingest.app}
        running: list[tuple[LabPod, LabService, list[Future[Reply]]]] = []
        for source in sources:
            for service in (item for item in services if item.name != source.app):
                allowed = service is not peers.store_service or source.app in may_use_store
                seconds = _ANSWER_SECONDS if allowed else _DENIED_SECONDS
                gets = [
                    HttpGet(_address(service, version), service.ports[0][2], timeout=seconds)
                    for version in self._versions
                ]
                running.append((source, service, [self._lab.agent(source).submit(get) for get in gets]))
        for source, service, futures in running:
            agent = self._lab.agent(source)
            reach = tuple(_reach(agent.wait(future, HttpReply)) for future in futures)
            allowed = service is not peers.store_service or source.app in may_use_store
            self.report.contacts.append(Contact(source.app, f"{service.name}:{service.ports[0][2]}", allowed, reach))

    # -- changes under load

    def _try_changes(self) -> None:
        """Three new connections a second, and one open connection to each replica, through a restart of the controller,
        its absence, an endpoint's removal and its return."""
        peers = self._peers
        load_agent, stream_agent = self._lab.agent(peers.dashboard), self._lab.agent(peers.ingest)
        addresses = tuple(_address(peers.store_service, version) for version in self._versions)
        leaving = peers.stores[-1]
        load_agent.call(StartLoad("load", addresses, 9200, _LOAD_RATE), Done)
        streams = [f"stream-{number}" for number in range(12)]
        for number, name in enumerate(streams):
            stream_agent.call(StartStream(name, addresses[number % len(addresses)], 9200), Done)
        time.sleep(1)
        try:
            self._restart_controller()
            with self._endpoint_removed(leaving):
                self._expect_no_new_connections_to(leaving)
        finally:
            load = load_agent.call(StopLoad("load"), LoadReply)
            streamed = [stream_agent.call(StopLoad(name), LoadReply) for name in streams]
        self._expect_load(f"{_LOAD_RATE:g} new connections a second, dashboard -> search-store", load)
        on_leaving = sum(leaving.name in reply.served_by for reply in streamed)
        self.report.expect(
            _CHANGES,
            f"{len(streamed)} open connections, ingest -> search-store",
            expected="none breaks or changes its replica",
            found=_describe_streams(streamed, on_leaving, leaving),
            held=all(not reply.failures and len(reply.served_by) == 1 and reply.requests > 1 for reply in streamed),
        )

    def _restart_controller(self) -> None:
        """Kill the controller, try a new connection without it, start it again."""
        self._progress("the controller is gone")
        self._lab.controller.kill()
        reply = self._get(self._peers.dashboard, _address(self._peers.store_service, 4), 9200)
        self._expect_answer(
            _CHANGES, "controller killed: a new connection, dashboard -> search-store", reply, self._peers.stores
        )
        time.sleep(1)
        self._progress("the controller comes back")
        self._lab.controller.start()
        seconds = self._lab.wait_programmed()
        self.report.expect(
            _CHANGES,
            "controller started again",
            expected="in step with the switch",
            found=f"in step after {seconds:.1f} s",
            held=True,
        )

    @contextmanager
    def _endpoint_removed(self, pod: LabPod) -> Iterator[None]:
        """Take `pod` out of its Service's EndpointSlices, as scaling down does, and put it back in the end."""
        self._progress(f"{pod.name} leaves its Service")
        originals = {path: path.read_text(encoding="utf-8") for path in self._lab.manifests.rglob("*.yaml")}
        changed = [path for path, text in originals.items() if _replace(path, without_endpoint(text, pod))]
        try:
            yield
        finally:
            self._progress(f"{pod.name} returns")
            for path in changed:
                _replace(path, originals[path])
        seconds = self._await_served(pod, present=True)
        self.report.expect(
            _CHANGES,
            f"{pod.name} put back",
            expected="it gets new connections again",
            found=f"after {seconds:.1f} s" if seconds < _CHANGE_SECONDS else "none",
            held=seconds < _CHANGE_SECONDS,
        )

    def _expect_no_new_connections_to(self, pod: LabPod) -> None:
        seconds = self._await_served(pod, present=False)
        replies = self._get_many(self._peers.ingest, _address(self._peers.store_service, 4), 9200, 30)
        served = Counter(reply.served_by for reply in replies if not reply.error)
        failed = sum(bool(reply.error) for reply in replies)
        self.report.expect(
            _CHANGES,
            f"{pod.name} taken out of its EndpointSlices",
            expected="30 new connections, none to it",
            found=f"{_shares(dict(served), failed)}; after {seconds:.1f} s",
            held=failed == 0 and pod.name not in served and sum(served.values()) == len(replies),
        )
        time.sleep(1)

    def _await_served(self, pod: LabPod, *, present: bool) -> float:
        """Wait until new connections do, or do not, meet `pod`; the seconds it took, at least _CHANGE_SECONDS if in vain."""
        started = time.monotonic()
        address = _address(self._peers.store_service, 4)
        while (waited := time.monotonic() - started) < _CHANGE_SECONDS:
            served = {reply.served_by for reply in self._get_many(self._peers.ingest, address, 9200, 40)}
            if (pod.name in served) == present:
                break
            time.sleep(0.1)
        return waited

    def _expect_load(self, what: str, load: LoadReply) -> None:
        failures = f"; first failure {load.failures[0]}" if load.failures else ""
        self.report.expect(
            _CHANGES,
            what,
            expected="none fails",
            found=f"{load.requests} connections in {load.seconds:.0f} s, {len(load.failures)} failed, "
            f"slowest {load.slowest_milliseconds:.0f} ms{failures}",
            held=not load.failures and load.requests >= load.seconds * _LOAD_RATE * _LEAST_OF_LOAD,
        )

    # -- helpers

    def _get(
        self, source: LabPod, address: str, port: int, *, path: str = "/", timeout: float = _ANSWER_SECONDS
    ) -> HttpReply:
        return self._lab.agent(source).call(HttpGet(address, port, path, timeout), HttpReply)

    def _get_many(self, source: LabPod, address: str, port: int, count: int) -> list[HttpReply]:
        agent: PodAgent = self._lab.agent(source)
        get = HttpGet(address, port, timeout=_ANSWER_SECONDS)
        futures = [agent.submit(get) for _ in range(count)]
        return [agent.wait(future, HttpReply) for future in futures]

    def _ask(
        self, source: LabPod, address: str, port: int, *, flows: int, timeout: float = _ANSWER_SECONDS
    ) -> UdpReply:
        return self._lab.agent(source).call(UdpAsk(address, port, flows, timeout), UdpReply)

    def _expect_answer(
        self,
        section: str,
        what: str,
        reply: HttpReply,
        servers: Sequence[LabPod],
        upstream: Sequence[LabPod] = (),
        client: str = "",
    ) -> None:
        """`client`: the address that the server has to see, if it matters."""
        names = {pod.name for pod in servers}
        behind = {pod.name for pod in upstream}
        seen = reply.client.removeprefix("::ffff:")  # the servers listen for both families at once
        answer = f"{reply.served_by} ({reply.upstream} behind it)" if reply.upstream else reply.served_by
        self.report.expect(
            section,
            what,
            expected=f"{servers[0].app} answers"
            + (f", {upstream[0].app} behind it" if upstream else "")
            + (f", to {client}" if client else ""),
            found=reply.error
            or f"{answer}, {reply.milliseconds:.1f} ms" + (f", to {seen or 'nobody'}" if client else ""),
            held=not reply.error
            and reply.served_by in names
            and (not behind or reply.upstream in behind)
            and client in ("", seen),
        )

    def _expect_udp(
        self,
        section: str,
        what: str,
        reply: UdpReply,
        servers: Sequence[LabPod],
        flows: int,
        *,
        spread: bool = False,
    ) -> None:
        names = {pod.name for pod in servers}
        held = reply.lost == 0 and set(reply.served_by) == names
        if spread:
            held = held and max(reply.served_by.values(), default=flows) <= flows * _LARGEST_SHARE
        expected = f"spread over {len(names)} endpoints" if spread else "every flow answered"
        self.report.expect(section, what, expected=expected, found=_shares(reply.served_by, reply.lost), held=held)


def _address(owner: LabPod | LabService, version: int) -> str:
    address = owner.address(version)
    assert address is not None, f"{owner.key} has no IPv{version} address"
    return address


def _reach(reply: HttpReply) -> Reach:
    if not reply.error:
        return Reach.CONNECTED
    return {_REFUSED: Reach.REFUSED, _TIMED_OUT: Reach.SILENT}.get(reply.error, Reach.FAILED)


def _shares(served_by: dict[str, int], lost: int) -> str:
    """`x2k4p 31, m8q7d 29, z5t9w 30`: how many each pod answered, pods by the last part of their names."""
    parts = [f"{name.rpartition('-')[2]} {count}" for name, count in sorted(served_by.items())]
    return ", ".join(parts + ([f"{lost} lost"] if lost else [])) or "no answer"


def _describe_streams(streamed: Sequence[LoadReply], on_leaving: int, leaving: LabPod) -> str:
    requests = sum(reply.requests for reply in streamed)
    broken = [failure for reply in streamed for failure in reply.failures]
    moved = sum(len(reply.served_by) > 1 for reply in streamed)
    text = f"{requests} requests, {len(broken)} failed, {moved} moved; {on_leaving} of them on {leaving.name}"
    return f"{text}; first failure {broken[0]}" if broken else text


def without_endpoint(text: str, pod: LabPod) -> str:
    """The manifests of `text` without the endpoint of `pod` in any EndpointSlice."""
    documents = [document for document in yaml.safe_load_all(text) if document]
    changed = False
    for document in documents:
        if document.get("kind") == "EndpointSlice":
            endpoints = document.get("endpoints") or []
            kept = [entry for entry in endpoints if entry.get("targetRef", {}).get("name") != pod.name]
            changed = changed or len(kept) != len(endpoints)
            document["endpoints"] = kept
    return yaml.safe_dump_all(documents, sort_keys=False) if changed else text


def _replace(path: Path, text: str) -> bool:
    """Put `text` in place of the file's content at once, as an editor or `git pull` does; False if it is the same."""
    if path.read_text(encoding="utf-8") == text:
        return False
    scratch = path.with_name(f".{path.name}.new")
    scratch.write_text(text, encoding="utf-8")
    os.replace(scratch, path)
    return True
