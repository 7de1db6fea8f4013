"""Addresses to listen on."""

from __future__ import annotations

import socket


def why_not_listen(address: str) -> str | None:
    """Why an address ("host:port") cannot be listened on, in the system's words; None if it can."""
    host, _, port = address.rpartition(":")
    try:
        family, kind, _, _, place = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(
                socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
            )  # old connections do not count, as for the server
            probe.bind(place)
            probe.listen()
    except OSError as error:
        return error.strerror or str(error)
    return None
