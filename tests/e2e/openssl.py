#!/usr/bin/env python3
"""openssl s_client against tls_server: every suite with every group and every type of key."""

import contextlib
import itertools
import subprocess

from harness import Server, contains, equal, holds, host, keys, need, page, request, root, run, say, suites

openssl = need("openssl")
groups = {"X25519": "X25519", "P-256": "ECDH, prime256v1", "P-384": "ECDH, secp384r1"}
schemes = {"p256": "ecdsa_secp256r1_sha256", "p384": "ecdsa_secp384r1_sha384", "rsa": "rsa_pss_rsae_sha256",
           "pss": "rsa_pss_pss_sha256", "ed25519": "ed25519"}


def command(server, *flags):
    return [str(word) for word in (
        openssl, "s_client", "-connect", f"127.0.0.1:{server.port}", "-servername", host, "-verify_hostname", host,
        "-CAfile", root, "-verify_return_error", *flags)]


def takes(server, suite, group, key):
    def case():
        said = say(*command(server, "-ign_eof", "-ciphersuites", suite, "-groups", group, "-sigalgs", schemes[key]),
                   given=request)
        contains(said.replace("CN = ", "CN="), f"TLSv1.3, Cipher is {suite}", f" Temp Key: {groups[group]}",
                 "return code: 0 (ok)", f"subject=CN={key}", page)
        holds("unexpected eof" not in said, said)
    return f"{suite} {group} {key}", case


def is_asked_again():
    """The server has no group of which the client sent a share."""
    with Server("--groups", "secp384r1") as server:
        said = say(*command(server, "-ign_eof", "-msg", "-groups", "X25519:P-384"), given=request)
        equal(said.count("], ClientHello"), 2)
        contains(said, " Temp Key: ECDH, secp384r1", page)


@contextlib.contextmanager
def session(server, *flags):
    """A client to talk to."""
    process = subprocess.Popen(command(server, *flags), text=True, bufsize=0,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait(10)


def read_until(process, text):
    said = ""
    while text not in said:
        line = process.stdout.readline()
        holds(line, f"no {text!r} in:\n{said}")
        said += line
    return said


def updates_keys():
    with Server() as server, session(server) as client:
        read_until(client, "---\n")
        for letter in "kKkK":
            client.stdin.write(f"{letter}\n")
            read_until(client, "KEYUPDATE\n")
            client.stdin.write("GET / HTTP/1.1\r\n\r\n")
            read_until(client, page)


def has_keys_updated():
    """The server asks for a KeyUpdate; the client sends one before what it says next."""
    with Server() as server, session(server, "-msg") as client:
        read_until(client, "---\n")
        for path, direction in (("/keyupdate", "<<<"), ("/", ">>>")):
            client.stdin.write(f"GET {path} HTTP/1.1\r\n\r\n")
            contains(read_until(client, page), f"{direction} TLS 1.3, Handshake [length 0005], KeyUpdate")


def sends_small_records():
    with Server() as server:
        contains(say(*command(server, "-ign_eof", "-split_send_frag", 1, "-max_send_frag", 512), given=request), page)


def is_told_of_wrong_versions():
    with Server() as server:
        contains(say(*command(server, "-tls1_2"), status=1), "alert protocol version")


with Server(keys=keys) as all_keys:
    run([
        *(takes(all_keys, *choice) for choice in itertools.product(suites, groups, keys)),
        ("HelloRetryRequest", is_asked_again), ("KeyUpdate of the client", updates_keys),
        ("KeyUpdate of the server", has_keys_updated), ("small records", sends_small_records),
        ("TLS 1.2 only", is_told_of_wrong_versions),
    ])
