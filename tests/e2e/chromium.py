#!/usr/bin/env python3
"""Headless Chromium against tls_server, in every group that it has."""

import tempfile

from harness import Server, contains, host, need, page, run, say, scratch

chromium = need("chromium")


def browse(server):
    with tempfile.TemporaryDirectory(dir=scratch) as profile:
        return say(chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                   "--disable-background-networking", "--disable-component-update", "--disable-sync",
                   "--no-proxy-server", f"--user-data-dir={profile}", "--ignore-certificate-errors", "--dump-dom",
                   f"--host-resolver-rules=MAP {host} 127.0.0.1", f"https://{host}:{server.port}/", seconds=40)


def takes(group, *keys):
    def case():
        with Server("--groups", group, keys=keys) as server:
            contains(browse(server), page.strip())
    return f"{group} {' '.join(keys)}", case


run([takes("X25519MLKEM768", "p256"), takes("X25519", "rsa"), takes("secp256r1", "p384", "rsa"),
     takes("secp384r1", "p256")], seconds=45)
