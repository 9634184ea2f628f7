#!/usr/bin/env python3
"""What takes its time: a check from here that fails, and waits that outlive a restart."""

import contextlib
import datetime
import http.server
import json
import ssl
import threading
import time

from harness import contains, equal, holds, need, run_together
import pebble
from pebble import Pebble, Program, wait_until

program = need("acme")
pebble.need_pebble()

elsewhere = "127.0.0.99"


def seconds(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


@contextlib.contextmanager
def names_lead_elsewhere():
    """A name server, where they do; that of the CA leads here."""
    with Pebble() as other:
        other.fetch(f"{other.commands}/set-default-ipv4", {"ip": elsewhere})
        yield other.resolver


@contextlib.contextmanager
def somebody_else(port):
    """Has that port there, and no answers; what was asked of it."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer((elsewhere, port), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield asked
        server.shutdown()


def warned(server):
    """The one warning, how long it took to come, and the certificate that comes all the same."""
    wait_until(server.log, lambda: "publishing the answer" in server.log())
    begin = time.monotonic()
    wait_until(server.log, lambda: " WARN " in server.log(), 30)
    took = time.monotonic() - begin
    server.wait_for_certificate("a.test")
    record, = [each for each in server.records("acme.progress") if each["level"] == "WARN"]
    equal(server.records("acme.failed"), [])
    contains(record["message"], "cannot be seen from here", f"addresses of a.test: {elsewhere}",
             "addresses of this machine: ")
    holds(record["message"].rpartition(": ")[2] not in ("", "none that are known"), record)
    return record["message"], took


def leads_to_somebody_else():
    with Pebble() as ca, names_lead_elsewhere() as resolver, somebody_else(ca.http_port) as asked:
        with Program(program, ca, "a.test", resolver=resolver) as server:
            said, took = warned(server)
            contains(said, f"http://a.test:{ca.http_port}/.well-known/acme-challenge/", "status 404")
            holds(8.5 < took < 13, f"{took} s instead of 10")
            holds(8 <= len(asked) <= 11 and len(set(asked)) == 1, asked)


def leads_to_nobody():
    with Pebble() as ca, names_lead_elsewhere() as resolver:
        with Program(program, ca, "a.test", resolver=resolver, challenge="tls-alpn-01") as server:
            said, took = warned(server)
            contains(said, elsewhere, "refused")
            holds(8.5 < took < 13, f"{took} s instead of 10")


def not_before_its_time():
    """Nobody asks the CA for a.test again before the time that was said; for what is new in the settings, at once."""
    with Pebble(blocked=["a.test"]) as ca:
        def asked():
            return ca.log().count("POST /order-plz")

        with Program(program, ca, "a.test") as server:
            wait_until(server.log, lambda: server.records("acme.failed"))
        state, = server.folder.glob(".alos-certs/state/*.json")
        planned = json.loads(state.read_text())["nextAttempt"]
        requests, orders = ca.requests(), asked()
        holds(orders > 0, ca.log())
        for _ in range(3):
            with Program(program, ca, "a.test", folder=server.folder) as again:
                shown = json.loads(again.ask("a.test", "/certificates", context=anybody)[1])[0]
                equal(shown["nextAttempt"], planned)
                equal(again.records("acme.failed"), [])
            equal(ca.requests(), requests)
        # All that is due is begun at the same moment: when the new one is done, the other one has not been begun.
        with Program(program, ca, "a.test", "b.test", folder=server.folder) as again:
            again.wait_for_certificate("b.test")
            equal(again.records("acme.failed"), [])
        equal((asked(), ca.orders()), (orders + 1, 1))
        with Program(program, ca, "a.test", "b.test", folder=server.folder, email="a@example.com") as again:
            wait_until(again.log, lambda: again.records("acme.failed"))
        equal(asked(), orders + 2)


def down_before_its_time():
    """The same for a CA that does not answer, and is up again when the server is."""
    with Pebble() as ca:
        ca.stop()
        with Program(program, ca, "a.test") as server:
            wait_until(server.log, lambda: server.records("acme.failed"))
        ca.start()
        requests = ca.requests()
        for _ in range(3):
            with Program(program, ca, "a.test", folder=server.folder) as again:
                equal(json.loads(again.ask("a.test", "/certificates", context=anybody)[1])[0]["failures"], 1)
        equal(ca.requests(), requests)
        with Program(program, ca, "a.test", folder=server.folder, challenge="tls-alpn-01") as again:
            again.wait_for_certificate("a.test")


def renewed_in_time():
    """By the ordinary rule: with half of life left, and without a word."""
    with Pebble(validity=60) as ca, Program(program, ca, "a.test") as server:
        server.wait_for_certificate("a.test")
        wait_until(server.log, lambda: len(server.records("acme.renewed")) == 2, 90)
        kept = server.folder.glob(".alos-certs/certs/*/0*/meta.json")
        first, second, third = sorted(seconds(json.loads(each.read_text())["obtained"]) for each in kept)
        for pause in (second - first, third - second):
            holds(28 <= pause <= 33, f"renewed after {pause} s")
        equal(server.records("acme.failed"), [])


anybody = ssl._create_unverified_context()

# The first certificate of a CA with short ones empties the bucket of all that follow.
run_together([
    ("the name leads to somebody else, http-01", leads_to_somebody_else),
    ("the name leads to nobody, tls-alpn-01", leads_to_nobody),
    ("a restart after a refusal", not_before_its_time),
    ("a restart while the CA was down", down_before_its_time),
    ("60 seconds of validity: renewed with half of it left", renewed_in_time),
], seconds=110)
