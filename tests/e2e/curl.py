#!/usr/bin/env python3
"""curl against tls_server."""

import hashlib

from harness import Server, contains, equal, host, keys, letters, need, page, root, run, say, scratch, suites, ten_mib

curl = need("curl")


def fetch(server, *flags, path="/", address="127.0.0.1", status=0):
    return say(curl, "--disable", "--silent", "--show-error", "--noproxy", "*", "--max-time", 15, "--cacert", root,
               "--resolve", f"{host}:{server.port}:{address}", *flags, f"https://{host}:{server.port}{path}",
               status=status)


def takes(*, key="p256", group="X25519", suite=suites[0]):
    def case():
        with Server(keys=[key]) as server:
            equal(fetch(server, "--curves", group, "--tls13-ciphers", suite), page)
    return f"{suite} {group} {key}", case


def works_by_ipv6():
    with Server() as server:
        equal(fetch(server, address="[::1]"), page)


def knows_http_1_0():
    with Server() as server:
        contains(fetch(server, "--http1.0", "--include"), "Connection: close\r\n", page)


def keeps_the_connection():
    with Server() as server:
        url = f"https://{host}:{server.port}/"
        again = ["--next", "--cacert", root, "--silent", "--write-out", "%{num_connects}\n", "--resolve",
                 f"{host}:{server.port}:127.0.0.1"]
        said = fetch(server, "--write-out", "%{num_connects}\n", url, *again)
        equal(said, f"{page}1\n{page}0\n")


def loads_down():
    with Server() as server:
        file = scratch / "down"
        fetch(server, "--output", file, path=f"/bytes/{ten_mib}")
        equal(hashlib.sha256(file.read_bytes()).digest(), hashlib.sha256(letters(ten_mib)).digest())


def loads_up():
    with Server() as server:
        file = scratch / "up"
        file.write_bytes(letters(ten_mib))
        said = fetch(server, "--upload-file", file, path="/file")
        equal(said, f"{ten_mib} {hashlib.sha256(letters(ten_mib)).hexdigest()}\n")


def fetches_in_parallel():
    with Server(keys=["rsa"]) as server:
        said = fetch(server, "--no-progress-meter", "--parallel", "--parallel-max", 50, "--parallel-immediate",
                     path="/bytes/100?[1-200]")
        equal(len(said), 200 * 100)


def agrees_on_a_protocol():
    with Server("--alpn", "http/1.1") as server:
        contains(fetch(server, "--verbose", "--http1.1"), "server accepted http/1.1")


def is_told_of_wrong_versions():
    with Server() as server:
        contains(fetch(server, "--tls-max", "1.2", status=35), "alert protocol version")


run([
    *(takes(suite=suite) for suite in suites),
    *(takes(group=group) for group in ("P-256", "P-384")),
    *(takes(key=key) for key in keys),
    ("IPv6", works_by_ipv6), ("HTTP/1.0", knows_http_1_0), ("two requests", keeps_the_connection),
    ("10 MiB down", loads_down), ("10 MiB up", loads_up), ("200 requests, 50 at once", fetches_in_parallel),
    ("ALPN", agrees_on_a_protocol), ("TLS 1.2 only", is_told_of_wrong_versions),
])
