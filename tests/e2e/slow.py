#!/usr/bin/env python3
"""Clients that take their time do not harm tls_server, nor each other."""

import socket
import ssl
import time

from harness import Server, equal, holds, host, letters, page, request, root, run


class Slow:
    """A client that sends and receives byte by byte."""

    def __init__(self, server):
        self.connection = socket.create_connection(("127.0.0.1", server.port), timeout=15)
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = ssl.create_default_context(cafile=root).wrap_bio(self.incoming, self.outgoing, server_hostname=host)

    def drive(self, step, *arguments):
        while True:
            try:
                return step(*arguments)
            except ssl.SSLWantReadError:
                self.flush()
                self.incoming.write(self.connection.recv(1))
            finally:
                self.flush()

    def flush(self):
        for byte in self.outgoing.read():
            self.connection.sendall(bytes([byte]))


def get(server):
    """An ordinary client's request."""
    tls = ssl.create_default_context(cafile=root)
    with tls.wrap_socket(socket.create_connection(("127.0.0.1", server.port), 15), server_hostname=host) as client:
        client.sendall(request.encode())
        answer = b"".join(iter(lambda: client.recv(4096), b""))
    equal(answer.decode().partition("\r\n\r\n")[2], page)


def goes_byte_by_byte():
    with Server("--groups", "secp384r1") as server:  # a HelloRetryRequest as well
        client = Slow(server)
        client.drive(client.tls.do_handshake)
        client.drive(client.tls.write, request.encode())
        answer = b"".join(iter(lambda: client.drive(client.tls.read, 4096), b""))
        equal(answer.decode().partition("\r\n\r\n")[2], page)
        client.drive(client.tls.unwrap)


def stops_reading():
    """What it does not take waits, and no other client with it."""
    size = 20 << 20
    with Server() as server:
        tls = ssl.create_default_context(cafile=root)
        raw = socket.create_connection(("127.0.0.1", server.port), 15)
        with tls.wrap_socket(raw, server_hostname=host) as client:
            client.sendall(f"GET /bytes/{size} HTTP/1.0\r\n\r\n".encode())
            for _ in range(10):
                get(server)
            answer = b"".join(iter(lambda: client.recv(65536), b""))
        holds(answer.partition(b"\r\n\r\n")[2] == letters(size), "the answer is another")


def says_nothing():
    with Server() as server:
        silent = [socket.create_connection(("127.0.0.1", server.port), 15) for _ in range(50)]
        silent[0].sendall(bytes.fromhex("16030102"))  # and stops within the header of a record
        begin = time.monotonic()
        get(server)
        holds(time.monotonic() - begin < 5, "another client waited")
        for connection in silent:
            connection.close()


run([("byte by byte", goes_byte_by_byte), ("stops reading", stops_reading), ("says nothing", says_nothing)])
