#!/usr/bin/env python3
"""Python's ssl and http.client against tls_server."""

import hashlib
import http.client
import socket
import ssl

from harness import Server, contains, equal, host, keys, letters, page, root, run, ten_mib


def context(**settings):
    made = ssl.create_default_context(cafile=root)
    for name, value in settings.items():
        setattr(made, name, value)
    return made


def connect(server, tls=None, **arguments):
    raw = socket.create_connection(("127.0.0.1", server.port), timeout=15)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return (tls or context()).wrap_socket(raw, server_hostname=host, **arguments)


def http_client(server):
    client = http.client.HTTPConnection(host, server.port)
    client.sock = connect(server)
    return client


def body(client, method, path, data=None):
    client.request(method, path, data)
    return client.getresponse().read()


def takes(key):
    def case():
        with Server(keys=[key]) as server:
            client = http_client(server)
            for _ in range(3):
                equal(body(client, "GET", "/").decode(), page)
            client.sock.unwrap().close()
    return key, case


def chooses_the_first_key_in_common():
    with Server(keys=keys) as server, connect(server) as tls:
        equal(tls.getpeercert()["subject"], ((("commonName", keys[0]),),))


def is_asked_again():
    with Server("--groups", "secp256r1") as server, connect(server) as tls:
        equal(tls.version(), "TLSv1.3")


def loads_both_ways():
    data = letters(ten_mib)
    with Server() as server:
        client = http_client(server)
        equal(hashlib.sha256(body(client, "GET", f"/bytes/{ten_mib}")).digest(), hashlib.sha256(data).digest())
        equal(body(client, "PUT", "/", data).decode(), f"{ten_mib} {hashlib.sha256(data).hexdigest()}\n")
        client.sock.unwrap().close()


def sends_requests_ahead():
    with Server() as server, connect(server) as tls:
        tls.sendall(b"GET / HTTP/1.1\r\n\r\n" * 200 + b"GET / HTTP/1.0\r\n\r\n")
        answer = b"".join(iter(lambda: tls.recv(65536), b""))
        equal(answer.count(page.encode()), 201)


def updates_keys_on_request():
    with Server() as server:
        client = http_client(server)
        for _ in range(50):
            equal(body(client, "GET", "/keyupdate").decode(), page)
        client.sock.unwrap().close()


def is_told_of_the_end():
    with Server() as server, connect(server, suppress_ragged_eofs=False) as tls:
        tls.sendall(b"GET / HTTP/1.0\r\n\r\n")
        while tls.recv(4096):
            pass
        tls.unwrap().close()


def agrees_on_a_protocol():
    tls = context()
    tls.set_alpn_protocols(["h2", "http/1.1"])
    with Server("--alpn", "http/1.1") as server, connect(server, tls) as connection:
        equal(connection.selected_alpn_protocol(), "http/1.1")


def fails_without_a_common_protocol():
    tls = context()
    tls.set_alpn_protocols(["h2"])
    fails(tls, "alert no application protocol", "--alpn", "http/1.1")


def fails(tls, reason, *flags):
    with Server(*flags) as server:
        try:
            connect(server, tls).close()
        except ssl.SSLError as error:
            contains(str(error), reason)
        else:
            raise AssertionError("the handshake succeeded")


def is_told_of_wrong_versions():
    fails(context(maximum_version=ssl.TLSVersion.TLSv1_2), "alert protocol version")


def distrusts_a_stranger():
    """The client's alert ends its connection, and no other."""
    with Server() as server:
        try:
            connect(server, ssl.create_default_context()).close()
        except ssl.SSLCertVerificationError:
            pass
        equal(body(http_client(server), "GET", "/").decode(), page)


run([
    *(takes(key) for key in keys),
    ("five certificates", chooses_the_first_key_in_common), ("HelloRetryRequest", is_asked_again),
    ("10 MiB both ways", loads_both_ways), ("requests ahead", sends_requests_ahead),
    ("50 KeyUpdates", updates_keys_on_request), ("close_notify", is_told_of_the_end), ("ALPN", agrees_on_a_protocol),
    ("no common ALPN", fails_without_a_common_protocol), ("TLS 1.2 only", is_told_of_wrong_versions),
    ("unknown root", distrusts_a_stranger),
])
