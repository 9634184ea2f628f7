#!/usr/bin/env python3
"""Certificates are swapped under load: no connection fails, open ones go on, new ones see the new certificate."""

import asyncio
import ssl

from harness import Example, equal, holds, need, run

need("several_names")
name = "one.example"
unverified = ssl._create_unverified_context()


async def connect(server):
    return await asyncio.open_connection("127.0.0.1", server.port, ssl=unverified, server_hostname=name)


async def ask(streams, method="GET", path="/"):
    reader, writer = streams
    writer.write(f"{method} {path} HTTP/1.1\r\nHost: {name}\r\nContent-Length: 0\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    size = int(head.lower().partition(b"content-length:")[2].split()[0])
    return (await reader.readexactly(size)).decode().strip()


async def fetch(server):
    """On a connection of its own; which certificate that had."""
    streams = await connect(server)
    equal(await ask(streams), f"Hello from {name}")
    certificate = streams[1].get_extra_info("ssl_object").getpeercert(binary_form=True)
    streams[1].close()
    return certificate


async def swap_under_load(server, swaps=100):
    seen, is_over = set(), False

    async def load():
        while not is_over:
            seen.add(await fetch(server))

    workers = [asyncio.create_task(load()) for _ in range(8)]
    kept = await connect(server)
    before = await fetch(server)
    for _ in range(swaps):
        equal(await ask(kept, "POST", f"/renew/{name}"), "renewed")
        after = await fetch(server)
        holds(after != before, "the old certificate was shown")
        seen.add(after)
        before = after
    is_over = True
    await asyncio.gather(*workers)
    equal(await ask(kept), f"Hello from {name}")
    kept[1].close()
    holds(swaps <= len(seen) <= swaps + 1, f"{len(seen)} certificates were shown")


def case():
    with Example("several_names") as server:
        asyncio.run(swap_under_load(server))


run([("100 swaps", case)], seconds=60)
