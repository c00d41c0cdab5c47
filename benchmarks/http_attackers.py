"""Clients that mean no good, for `benchmarks.http_attack`: one process, as fast as it can."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sys
from collections.abc import Awaitable, Callable

HEAD = b"Host: 127.0.0.1\r\nContent-Type: application/json\r\n"
DEEP = b'{"points":' + b"[" * 30_000 + b"]" * 30_000 + b"}"
PATIENCE_S = 5.0
Writer = asyncio.StreamWriter
Attack = Callable[[asyncio.StreamReader, Writer], Awaitable[None]]


async def slow_body(_reader: asyncio.StreamReader, writer: Writer) -> None:
    """Promise much, give a byte now and then."""
    writer.write(b"POST /api/v1/objects HTTP/1.1\r\n" + HEAD + b"Content-Length: 60000\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.05)


async def slow_head(_reader: asyncio.StreamReader, writer: Writer) -> None:
    """A head without end."""
    writer.write(b"GET /healthz HTTP/1.1\r\n")
    while True:
        writer.write(b"X-More: 1\r\n")
        await writer.drain()
        await asyncio.sleep(0.05)


async def silent(_reader: asyncio.StreamReader, _writer: Writer) -> None:
    """Connect, and say nothing."""
    await asyncio.sleep(PATIENCE_S)


async def junk(reader: asyncio.StreamReader, writer: Writer) -> None:
    """No HTTP at all."""
    writer.write(os.urandom(16_384))
    await reader.read()


async def traversal(reader: asyncio.StreamReader, writer: Writer) -> None:
    """Files that are none of anybody's business."""
    await _ask(reader, writer, b"GET /../../../../etc/passwd HTTP/1.1\r\n" + HEAD + b"\r\n")


async def huge_json(reader: asyncio.StreamReader, writer: Writer) -> None:
    """Bodies as deep as they may be large."""
    length = b"Content-Length: %d\r\n\r\n" % len(DEEP)
    await _ask(reader, writer, b"POST /api/v1/objects HTTP/1.1\r\n" + HEAD + length + DEEP)


async def pictures(reader: asyncio.StreamReader, writer: Writer) -> None:
    """What costs most to answer, over and over."""
    for path in (b"snapshot", b"result", b"status"):
        await _ask(reader, writer, b"GET /api/v1/" + path + b" HTTP/1.1\r\n" + HEAD + b"\r\n")


async def _ask(reader: asyncio.StreamReader, writer: Writer, request: bytes) -> None:
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: (\d+)", head)
    await reader.readexactly(int(length[1]) if length else 0)


# How many at a time.
ATTACKS: dict[str, tuple[Attack, int]] = {
    "slow bodies": (slow_body, 100),
    "slow heads": (slow_head, 100),
    "1,000 connections": (silent, 1000),
    "junk": (junk, 50),
    "path traversal": (traversal, 50),
    "huge JSON": (huge_json, 50),
    "pictures": (pictures, 50),
}


async def _again(attack: Attack, host: str, port: int) -> None:
    """One client: whenever its connection ends it makes another."""
    while True:
        writer = None
        with contextlib.suppress(OSError, EOFError, asyncio.TimeoutError):
            opening = asyncio.open_connection(host, port)
            reader, writer = await asyncio.wait_for(opening, PATIENCE_S)
            while True:
                await asyncio.wait_for(attack(reader, writer), PATIENCE_S)
        if writer is not None:
            writer.close()
        await asyncio.sleep(0.001)


async def _all(attack: Attack, count: int, host: str, port: int) -> None:
    await asyncio.gather(*(_again(attack, host, port) for _ in range(count)))


if __name__ == "__main__":
    _name, _host, _port = sys.argv[1:]
    asyncio.run(_all(*ATTACKS[_name], _host, int(_port)))
