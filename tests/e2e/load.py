#!/usr/bin/env python3
"""Many connections at once to tls_server, and much data on each."""

import asyncio
import hashlib
import resource
import ssl

from harness import Server, equal, host, letters, page, request, root, run

trusting = ssl.create_default_context(cafile=root)
_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def connect(server):
    return await asyncio.open_connection("127.0.0.1", server.port, ssl=trusting, server_hostname=host,
                                         ssl_handshake_timeout=60)


async def ask(streams, text):
    """The body of the answer, after which the server closes."""
    reader, writer = streams
    writer.write(text)
    answer = await reader.read()
    writer.close()
    return answer.partition(b"\r\n\r\n")[2]


def holds_connections(number):
    async def all_at_once(server):
        opened = await asyncio.gather(*(connect(server) for _ in range(number)))
        return await asyncio.gather(*(ask(streams, request.encode()) for streams in opened))

    def case():
        with Server() as server:
            equal(set(asyncio.run(all_at_once(server))), {page.encode()})
    return f"{number} connections", case


def moves_data(number, size):
    data = letters(size)
    digest = hashlib.sha256(data).hexdigest()

    async def both_ways(server, is_up):
        head = f"PUT / HTTP/1.1\r\nConnection: close\r\nContent-Length: {size}\r\n\r\n" if is_up \
            else f"GET /bytes/{size} HTTP/1.1\r\nConnection: close\r\n\r\n"
        body = await ask(await connect(server), head.encode() + (data if is_up else b""))
        return body.decode() if is_up else hashlib.sha256(body).hexdigest()

    async def all_at_once(server):
        return await asyncio.gather(*(both_ways(server, i % 2 == 1) for i in range(number)))

    def case():
        with Server() as server:
            equal(set(asyncio.run(all_at_once(server))), {digest, f"{size} {digest}\n"})
    return f"{number} times {size >> 20} MiB", case


def comes_and_goes(number):
    async def in_turn(server):
        for _ in range(number):
            _, writer = await connect(server)
            writer.transport.abort()

    def case():
        with Server() as server:
            async def several():
                await asyncio.gather(*(in_turn(server) for _ in range(5)))
                return await ask(await connect(server), request.encode())
            equal(asyncio.run(several()), page.encode())
    return f"{5 * number} that are reset", case


run([holds_connections(1000), moves_data(10, 10 << 20), comes_and_goes(40)], seconds=60)
