#!/usr/bin/env python3
"""Botan's client against tls_server: every suite with every group, also the hybrid one, with KeyUpdates both ways."""

import itertools

from harness import Server, equal, letters, need, page, root, run, say, suites

client = need("botan_client")
ciphers = dict(zip(suites, ("AES-128/GCM", "AES-256/GCM", "ChaCha20Poly1305")))
groups = ("x25519/ML-KEM-768", "x25519", "secp256r1", "secp384r1")


def fetch(server, *policy, path="/"):
    """(what was agreed on, the answer's body)"""
    said = say(client, server.port, path, root, *policy)
    agreed, _, answer = said.partition("\n")
    return agreed, answer.partition("\r\n\r\n")[2]


def takes(server, suite, group):
    def case():
        equal(fetch(server, f"ciphers = {ciphers[suite]}", f"key_exchange_groups = {group}"),
              (f"{suite.removeprefix('TLS_')} {group}", page))
    return f"{suite} {group}", case


def takes_key(key):
    def case():
        with Server(keys=[key]) as server:
            equal(fetch(server)[1], page)
    return key, case


def is_asked_again(group):
    """Of the only group that the server has, the client sends no share."""
    def case():
        with Server("--groups", "X25519MLKEM768" if "ML-KEM" in group else group) as server:
            agreed, body = fetch(server, f"key_exchange_groups = secp256r1 {group}",
                                 "key_exchange_groups_to_offer = secp256r1")
            equal((agreed.split()[1], body), (group, page))
    return f"HelloRetryRequest for {group}", case


def sends_no_share():
    with Server() as server:
        equal(fetch(server, "key_exchange_groups_to_offer = none")[1], page)


def loads_much():
    with Server() as server:
        equal(fetch(server, path=f"/bytes/{1 << 20}")[1], letters(1 << 20).decode())


with Server() as any_group:
    run([
        *(takes(any_group, *choice) for choice in itertools.product(suites, groups)),
        *(takes_key(key) for key in ("p256", "p384", "rsa")),  # what Botan offers by itself
        *(is_asked_again(group) for group in ("x25519/ML-KEM-768", "secp384r1")),
        ("no key share", sends_no_share), ("1 MiB", loads_much),
    ])
