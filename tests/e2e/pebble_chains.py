#!/usr/bin/env python3
"""How different CAs are: chains of each length, alternate ones, authorizations that are used again or not, nonces that
are rejected; with every version of Pebble that is here. All of them are strict."""

import ssl
import subprocess

from harness import contains, equal, holds, need, run_together
import pebble
from pebble import Pebble, Program, wait_until

program = need("acme")
pebble.need_pebble()


def openssl(*words, given=None):
    return subprocess.run(["openssl", *words], input=given, stdin=None if given else subprocess.DEVNULL,
                          capture_output=True, text=True, check=True).stdout


def common_name(pem):
    shown = openssl("x509", "-noout", "-subject", "-nameopt", "multiline", given=pem)
    return shown.partition("commonName")[2].partition("=")[2].strip()


def sent(server):
    """How many certificates the server sends."""
    return openssl("s_client", "-showcerts", "-connect", f"127.0.0.1:{server.tls_port}", "-servername",
                   "a.test").count("BEGIN CERTIFICATE")


def ends_at(server, root):
    """Until the server's certificate is one of that root's."""
    context = ssl.create_default_context(cadata=root)
    return wait_until(server.log, lambda: server.certificate("a.test", context), pause=0.1)


def chain(length, newer=False):
    def case():
        with Pebble(chain_length=length, newer=newer) as ca, Program(program, ca, "a.test") as server:
            ends_at(server, ca.roots[0])
            equal(sent(server), length + 1)

    return case


def preferred(which, length):
    """One of three chains by the name of its root, of which the first is the CA's default."""
    def case():
        with Pebble(chain_length=length, alternate_roots=2) as ca:
            name = common_name(ca.roots[which])
            with Program(program, ca, "a.test", preferred_chain=name) as server:
                ends_at(server, ca.roots[which])
                equal(sent(server), length + 1)
                holds("its default is used" not in server.log(), server.log())
            # After a restart, and a renewal, too.
            with Program(program, ca, "a.test", preferred_chain=name, folder=server.folder) as again:
                ends_at(again, ca.roots[which])
                equal(again.ask("a.test", "/renew/a.test", "POST", ssl.create_default_context(
                    cadata=ca.roots[which])), (200, "renewed\n"))
                ends_at(again, ca.roots[which])

    return case


def preferred_by_nobody():
    with Pebble(alternate_roots=1) as ca, Program(program, ca, "a.test", preferred_chain="No Such Root") as server:
        ends_at(server, ca.roots[0])
        contains(server.log(), "no chain of this CA ends at 'No Such Root'; its default is used")


def authorizations(reuse, challenge):
    """Of three certificates for the same name."""
    def case():
        with Pebble(reuse=reuse) as ca, Program(program, ca, "a.test", challenge=challenge) as server:
            server.wait_for_certificate("a.test")
            for _ in range(2):
                equal(server.ask("a.test", "/renew/a.test", "POST"), (200, "renewed\n"))
            equal(server.log().count("publishing the answer"), 1 if reuse == 100 else 3)
            equal(ca.orders(), 3)

    return case


def difficult(percent, newer):
    """Everything at once."""
    def case():
        with Pebble(nonce_reject=percent, reuse=50, chain_length=3, alternate_roots=2, newer=newer) as ca:
            with Program(program, ca, "a.test,b.test", "127.0.0.1", preferred_chain=common_name(ca.roots[1])) as server:
                for _ in range(2):
                    ends_at(server, ca.roots[1])
                    context = ssl.create_default_context(cadata=ca.roots[1])
                    equal(server.ask("b.test", "/renew/b.test", "POST", context), (200, "renewed\n"))
                equal(sent(server), 4)
                wait_until(server.log, lambda: server.certificate("127.0.0.1", context))
                asked = ca.log().count("POST /order-plz ")
                holds(asked >= ca.orders() if 0 < percent < 90 else (asked > ca.orders()) == (percent > 0), asked)

    return case


run_together([
    ("one intermediate", chain(1)),
    ("three intermediates", chain(3)),
    ("three intermediates, the newest Pebble", chain(3, newer=True)),
    ("the default chain is the preferred one", preferred(0, 1)),
    ("the first alternate chain", preferred(1, 1)),
    ("the second alternate chain, of three intermediates", preferred(2, 3)),
    ("a preferred chain that there is not", preferred_by_nobody),
    ("no authorization is used again, http-01", authorizations(0, "http-01")),
    ("no authorization is used again, tls-alpn-01", authorizations(0, "tls-alpn-01")),
    ("each authorization is used again, tls-alpn-01", authorizations(100, "tls-alpn-01")),
    ("difficult in every way", difficult(0, False)),
    ("difficult in every way, 20 % of nonces rejected", difficult(20, False)),
    ("difficult in every way, 90 % of nonces rejected", difficult(90, True)),
], seconds=110)
