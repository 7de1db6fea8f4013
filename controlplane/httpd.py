"""HTTP/1.1 for a handful of fixed answers, on a TCP or a Unix socket: so little that a web framework would be most of it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import msgspec

_REASONS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    413: "Content Too Large",
    503: "Service Unavailable",
}
_REQUEST_SECONDS = 5.0
_MAX_BODY = 64 << 20
PLAIN = "text/plain; charset=utf-8"
JSON = "application/json"


class Request(msgspec.Struct, frozen=True):
    """What was asked for; `query` has the last value of each name."""

    method: str
    path: str
    query: dict[str, str]
    body: bytes = b""


class Response(msgspec.Struct, frozen=True):
    """An answer. `body` is bytes, or a stream of them whose end is that of the connection.

    `headers` come beside Content-Type and Content-Length.
    """

    status: int
    body: bytes | AsyncIterator[bytes] = b""
    content_type: str = PLAIN
    headers: tuple[tuple[str, str], ...] = ()


Handler = Callable[[Request], Awaitable[Response]]


class HttpServer:
    """Answers GET, HEAD and, if `posts`, POST, one request a connection."""

    def __init__(self, handler: Handler, posts: bool = False) -> None:
        self._handler = handler
        self._methods = ("GET", "HEAD", "POST") if posts else ("GET", "HEAD")
        self._server: asyncio.Server | None = None
        self._socket: Path | None = None

    async def start(self, host: str | None, port: int) -> int:
        """Listen on a TCP port, with no host on all addresses; the port in use. Raises OSError."""
        self._server = await asyncio.start_server(self._serve, host, port)
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def start_unix(self, path: Path) -> None:
        """Listen on a Unix socket that only the same user may use; a stale one is replaced. Raises OSError."""
        with contextlib.suppress(FileNotFoundError):
            if stat.S_ISSOCK(path.stat().st_mode):
                path.unlink()
        mask = os.umask(0o177)
        try:
            self._server = await asyncio.start_unix_server(self._serve, str(path))
        finally:
            os.umask(mask)
        self._socket = path

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.unlink()
            self._socket = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_REQUEST_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
            lines = head.decode("latin-1").split("\r\n")
            words = lines[0].split(" ")
            if len(words) < 2 or words[0] not in self._methods:
                response = Response(405, f"only {', '.join(self._methods)}\n".encode())
            else:
                response = await self._answer(words, lines[1:], reader)
            await self._send(writer, response, words[0] == "HEAD")
        except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, words: list[str], headers: list[str], reader: asyncio.StreamReader) -> Response:
        try:
            parts = urlsplit(words[1])
            query = dict(parse_qsl(parts.query))
        except ValueError:
            return Response(400, b"not a path\n")
        lengths = [line.partition(":")[2].strip() for line in headers if line.lower().startswith("content-length:")]
        length = int(lengths[0]) if lengths and lengths[0].isdigit() and len(lengths[0]) < 12 else 0
        if length > _MAX_BODY:
            return Response(413, b"too large\n")
        async with asyncio.timeout(_REQUEST_SECONDS):
            body = await reader.readexactly(length)
        return await self._handler(Request(words[0], parts.path, query, body))

    async def _send(self, writer: asyncio.StreamWriter, response: Response, head_only: bool) -> None:
        lines = [f"HTTP/1.1 {response.status} {_REASONS[response.status]}", f"Content-Type: {response.content_type}"]
        lines += [f"{name}: {value}" for name, value in response.headers]
        if isinstance(response.body, bytes):
            lines.append(f"Content-Length: {len(response.body)}")
        lines += ["Connection: close", "", ""]
        writer.write("\r\n".join(lines).encode("latin-1"))
        if not head_only:
            if isinstance(response.body, bytes):
                writer.write(response.body)
            else:
                async for chunk in response.body:
                    writer.write(chunk)
                    await writer.drain()
        await writer.drain()
