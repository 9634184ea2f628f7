#!/usr/bin/env python3
"""examples/acme.cpp gets its certificates from Pebble, a CA of the real kind: both challenges, both types of key,
addresses, renewal under load, restarts, and two processes with one storage."""

import signal
import ssl
import subprocess
import time

from harness import contains, equal, holds, need, run
import pebble
from acme_proxy import Proxy
from pebble import Load, Pebble, Program, free_port, new_folder, wait_until

pebble.need_pebble()
program = need("acme")


def names(certificate):
    return sorted(value for _, value in certificate["subjectAltName"])


def openssl(*words, given):
    return subprocess.run(["openssl", *words], input=given, capture_output=True, text=True, check=True).stdout


def by_one_challenge(challenge):
    def case():
        with Pebble() as ca, Program(program, ca, "a.test,b.test", "c.test", challenge=challenge) as server:
            equal(names(server.wait_for_certificate("a.test")), ["a.test", "b.test"])
            equal(names(server.wait_for_certificate("c.test")), ["c.test"])
            equal(server.ask("b.test"), (200, "Hello from b.test\n"))
            equal(ca.orders(), 2)
            contains(server.log(), f"publishing the answer to {challenge} for b.test")
            holds("warning: " not in server.log(), server.log())
            equal(server.stop(), 0)

    return case


def both_types_of_key():
    with Pebble() as ca, Program(program, ca, "a.test", keys="both") as server:
        wait_until(server.log, lambda: server.log().count("acme.obtained") == 2, pause=0.1)
        for signatures, kind in (("ecdsa_secp256r1_sha256", "id-ecPublicKey"),
                                 ("rsa_pss_rsae_sha256", "rsaEncryption")):
            shown = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{server.tls_port}", "-servername",
                                    "a.test", "-sigalgs", signatures], stdin=subprocess.DEVNULL, capture_output=True,
                                   text=True).stdout
            contains(openssl("x509", "-noout", "-text", given=shown), kind)


def an_address():
    with Pebble() as ca, Program(program, ca, "127.0.0.1") as server:
        certificate = server.wait_for_certificate("127.0.0.1")
        equal(certificate["subjectAltName"], (("IP Address", "127.0.0.1"),))


def an_address_of_ipv6():
    with Pebble() as ca:
        with Program(program, ca, "::1", addr=f"[::1]:{ca.tls_port}", http_addr=f"[::1]:{ca.http_port}") as server:
            wait_until(server.log, lambda: "acme.obtained" in server.log())


def an_address_by_tls_alpn():
    with Pebble() as ca, Program(program, ca, "127.0.0.1", challenge="tls-alpn-01") as server:
        equal(names(server.wait_for_certificate("127.0.0.1")), ["127.0.0.1"])


def many_certificates():
    with Pebble() as ca, Program(program, ca, *(f"n{i}.test" for i in range(40))) as server:
        wait_until(server.log, lambda: server.log().count("acme.obtained") == 40)
        equal(names(server.certificate("n39.test")), ["n39.test"])
        equal(ca.orders(), 40)


def closed_port():
    """http-01 fails, tls-alpn-01 is tried."""
    with Pebble() as ca, Program(program, ca, "a.test", http_port=free_port(), self_check="off") as server:
        server.wait_for_certificate("a.test")


account_key = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"


def external_account():
    with Pebble(eab={"kid-1": account_key}) as ca:
        key_file = ca.folder / "eab.key"
        key_file.write_text(account_key + "\n")
        with Program(program, ca, "a.test", eab_kid="kid-1", eab_hmac_key_file=key_file) as server:
            server.wait_for_certificate("a.test")
        with Program(program, ca, "a.test") as server:
            wait_until(server.log, lambda: "acme.failed" in server.log())
            contains(server.log(), "eab_kid")
            equal(server.certificate("a.test"), None)
        equal(ca.orders(), 1)


def restart_without_network():
    with Pebble() as ca:
        with Program(program, ca, "a.test") as server:
            first = server.wait_for_certificate("a.test")
        ca.stop()
        with Program(program, ca, "a.test", folder=server.folder) as again:
            equal(again.certificate("a.test"), first)
            equal(again.ask("a.test"), (200, "Hello from a.test\n"))
            contains(again.log(), "acme.loaded")


def two_processes():
    """Begun at the same moment; the CA connects to one of them, whoever places the order."""
    for _ in range(3):
        folder = new_folder()
        with Pebble() as ca:
            one = Program(program, ca, "a.test", folder=folder)
            other = Program(program, ca, "a.test", folder=folder, http_port=free_port(), tls_port=free_port())
            with one, other:
                equal(one.wait_for_certificate("a.test"), other.wait_for_certificate("a.test"))
                equal(ca.orders(), 1)


def answered_by_another(challenge):
    """The process that the CA connects to is not the one that asked it."""
    def case():
        with Pebble() as ca, Program(program, ca, "b.test") as one:
            one.wait_for_certificate("b.test")
            with Program(program, ca, "a.test", folder=one.folder, http_port=free_port(), tls_port=free_port(),
                         challenge=challenge) as other:
                other.wait_for_certificate("a.test")
                holds("warning: " not in other.log(), other.log())

    return case


def ended_meanwhile(how):
    """The order that is under way goes on after a restart."""
    def case():
        with Pebble() as ca, Proxy(ca) as proxy:
            proxy.hold("/chalZ/")
            with Program(program, ca, "a.test,b.test", directory=proxy.directory) as server:
                wait_until(server.log, lambda: any("/chalZ/" in each for each in proxy.requests))
                server.process.send_signal(how)
                server.process.wait(5)
            if how == signal.SIGTERM:
                equal(list(server.folder.glob(".alos-certs/challenge/*/*")), [])
            proxy.relent()
            with Program(program, ca, "a.test,b.test", folder=server.folder, directory=proxy.directory) as again:
                again.wait_for_certificate("a.test")
                contains(again.log(), "going on with order")
                equal(ca.orders(), 1)

    return case


def account_lost():
    """By a CA that has forgotten everything."""
    with Pebble() as ca, Program(program, ca, "a.test") as server:
        server.wait_for_certificate("a.test")
        ca.stop()
        ca.start()
        equal(server.ask("a.test", "/renew/a.test", "POST"), (200, "renewed\n"))
        equal(server.certificate("a.test"), None)  # as it is from the new root
        holds(server.certificate("a.test", ssl.create_default_context(cadata=ca.roots[0])), "not from the new root")


def forced_again():
    """At once, whatever came of it the last time."""
    with Pebble() as ca, Program(program, ca, "a.test") as server:
        server.wait_for_certificate("a.test")
        ca.stop()
        equal(server.ask("a.test", "/renew/a.test", "POST")[0], 502)
        ca.start()
        equal(server.ask("a.test", "/renew/a.test", "POST"), (200, "renewed\n"))


def other_names():
    """A restart with other settings orders what they ask for."""
    with Pebble() as ca:
        with Program(program, ca, "a.test") as server:
            server.wait_for_certificate("a.test")
        with Program(program, ca, "a.test,b.test", folder=server.folder) as server:
            wait_until(server.log, lambda: "acme.renewed" in server.log())
            equal(names(server.certificate("a.test")), ["a.test", "b.test"])
        equal(ca.orders(), 2)


def unreadable_storage():
    """What is broken is put aside or left alone, and a certificate comes all the same."""
    with Pebble() as ca:
        with Program(program, ca, "a.test") as server:
            server.wait_for_certificate("a.test")
        for file in server.folder.glob(".alos-certs/*/**/*.*"):
            if file.is_file():
                file.write_text("what is this\n")
        with Program(program, ca, "a.test", folder=server.folder) as again:
            again.wait_for_certificate("a.test")
            contains(again.log(), "acme.unreadable")


def stopped_meanwhile():
    """While the CA does not answer."""
    with Pebble() as ca:
        ca.pause()
        with Program(program, ca, "a.test") as server:
            time.sleep(0.3)
            start = time.monotonic()
            equal(server.stop(), 0)
            holds(time.monotonic() - start < 5, "it took too long to end")
            holds("acme.failed" not in server.log(), server.log())


def forced():
    with Pebble() as ca, Program(program, ca, "a.test") as server:
        first = server.wait_for_certificate("a.test")
        with Load(server, "a.test") as load:
            equal(server.ask("a.test", "/renew/a.test", "POST"), (200, "renewed\n"))
            second = server.certificate("a.test")
            wait_until(lambda: load.serials, lambda: len(load.serials) == 2)
        equal(load.errors, [])
        equal(load.serials, [first["serialNumber"], second["serialNumber"]])
        contains(server.log(), "acme.renewed")


class ShortLived:
    """Certificates of a minute, which are renewed by themselves while clients come, of whom none is turned away or
    shown one that has expired: begun first, looked at last."""

    def __init__(self):
        self.ca = Pebble(validity=60)
        self.server = Program(program, self.ca, "a.test")
        self.load = None

    def begin(self):
        self.server.wait_until_up()
        self.server.wait_for_certificate("a.test")
        self.load = Load(self.server, "a.test").__enter__()

    def end(self):
        holds(self.load, "it did not begin")
        try:
            wait_until(self.server.log, lambda: len(self.load.serials) >= 3, 60)
        finally:
            self.load.__exit__()
        equal(self.load.errors, [])
        contains(self.server.log(), "acme.renewed")
        equal(self.server.certificate("a.test")["serialNumber"], self.load.serials[-1])
        equal(self.ca.orders(), len(self.load.serials))
        self.server.stop()
        self.ca.stop()


short_lived = ShortLived()

run([
    ("60 seconds of validity: the first certificate", short_lived.begin),
    ("http-01", by_one_challenge("http-01")),
    ("tls-alpn-01", by_one_challenge("tls-alpn-01")),
    ("both types of key", both_types_of_key),
    ("an address", an_address),
    ("an address of IPv6", an_address_of_ipv6),
    ("an address by tls-alpn-01", an_address_by_tls_alpn),
    ("many certificates", many_certificates),
    ("tls-alpn-01 after http-01 failed", closed_port),
    ("external account binding", external_account),
    ("restart without network", restart_without_network),
    ("two processes, one order", two_processes),
    ("http-01 answered by another process", answered_by_another("http-01")),
    ("tls-alpn-01 answered by another process", answered_by_another("tls-alpn-01")),
    ("killed with an order under way", ended_meanwhile(signal.SIGKILL)),
    ("SIGTERM with an order under way", ended_meanwhile(signal.SIGTERM)),
    ("the CA has lost the account", account_lost),
    ("forced again after a failure", forced_again),
    ("a restart with other names", other_names),
    ("an unreadable storage", unreadable_storage),
    ("SIGTERM while the CA hangs", stopped_meanwhile),
    ("forced renewal under load", forced),
    ("60 seconds of validity: renewed twice under load", short_lived.end),
], seconds=70)
