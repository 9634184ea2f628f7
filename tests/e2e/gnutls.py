#!/usr/bin/env python3
"""gnutls-cli against tls_server: every suite with every group, and every type of key."""

import itertools

from harness import Server, contains, host, keys, need, page, request, root, run, say

gnutls = need("gnutls-cli")
ciphers = ("AES-128-GCM", "AES-256-GCM", "CHACHA20-POLY1305")
groups = {"GROUP-X25519": "ECDHE-X25519", "GROUP-SECP256R1": "ECDHE-SECP256R1", "GROUP-SECP384R1": "ECDHE-SECP384R1"}
schemes = {"p256": "ECDSA-SECP256R1-SHA256", "p384": "ECDSA-SECP384R1-SHA384", "rsa": "RSA-PSS-RSAE-SHA256",
           "pss": "RSA-PSS-SHA256", "ed25519": "EdDSA-Ed25519"}


def fetch(server, *flags, priority="NORMAL:-VERS-ALL:+VERS-TLS1.3", status=0):
    return say(gnutls, "--x509cafile", root, "--sni-hostname", host, "--verify-hostname", host, "--priority", priority,
               "--port", server.port, *flags, "127.0.0.1", given=request, status=status)


def takes(server, cipher, group, key="p256"):
    def case():
        scheme = f"SIGN-{schemes[key]}"
        said = fetch(server, priority="NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:-GROUP-ALL:-SIGN-ALL:"
                     f"+{cipher}:+{group}:+{scheme}:+SIGN-ECDSA-SHA256:+SIGN-ECDSA-SHA384")
        contains(said, f"(TLS1.3-X.509)-({groups[group]})-({schemes[key]})-({cipher})", "certificate is trusted", page)
    return f"{cipher} {group} {key}", case


def is_asked_again():
    with Server("--groups", "secp384r1") as server:
        contains(fetch(server), "(ECDHE-SECP384R1)", page)


def updates_keys():
    with Server() as server:
        contains(fetch(server, "--rehandshake"), page)


def is_told_of_wrong_versions():
    with Server() as server:
        contains(fetch(server, priority="NORMAL:-VERS-ALL:+VERS-TLS1.2", status=1), "Error in protocol version")


with Server(keys=keys) as all_keys:
    run([
        *(takes(all_keys, *choice) for choice in itertools.product(ciphers, groups)),
        *(takes(all_keys, ciphers[0], "GROUP-X25519", key) for key in keys),
        ("HelloRetryRequest", is_asked_again), ("KeyUpdate", updates_keys),
        ("TLS 1.2 only", is_told_of_wrong_versions),
    ])
