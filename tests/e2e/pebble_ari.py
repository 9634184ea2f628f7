#!/usr/bin/env python3
"""examples/acme.cpp and what Pebble has since version 2.10: renewal information (RFC 9773), profiles, and a CA that is
as difficult as it may be: Retry-After by turns in seconds and as a date, no Location after finalize, no answer without
a User-Agent."""

import contextlib
import datetime
import http.client
import json
import shutil
import ssl
import subprocess
import time
import urllib.parse

from harness import contains, equal, holds, need, run
import pebble
from pebble import Pebble, Program, new_folder, wait_until

program = need("acme")
pebble.need_pebble(newer=True)

day = 24 * 3600


def ca_with(**settings):
    return Pebble(newer=True, **({"validity": 90 * day} | settings))


def served(server, name="a.test"):
    """The certificate for that name, in PEM."""
    with contextlib.closing(server.connect(name)) as connection:
        return ssl.DER_cert_to_PEM_cert(connection.sock.getpeercert(True))


def public_key(pem):
    return subprocess.run(["openssl", "x509", "-noout", "-pubkey"], input=pem, capture_output=True, text=True,
                          check=True).stdout


def status(server, name="a.test"):
    return json.loads(server.ask(name, "/certificates")[1])[0]


def seconds_from_now(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() - time.time()


def window(begin, end, **more):
    """Renewal information that suggests a time between these, in seconds from now."""
    texts = [datetime.datetime.fromtimestamp(time.time() + each, datetime.timezone.utc).isoformat()
             for each in (begin, end)]
    return json.dumps({"suggestedWindow": dict(zip(("start", "end"), texts)), **more})


def kept(server):
    """What is in the storage about the state of the one certificate, once it is there."""
    return wait_until(server.log, lambda: next(server.folder.glob(".alos-certs/state/*.json"), None))


def wait_for_window(server):
    """Until the CA was asked about the one certificate."""
    server.wait_for_certificate("a.test")
    return wait_until(server.log, lambda: json.loads(kept(server).read_text()).get("windowStart"))


def asking_again(ca, server, **settings):
    """The same server after a restart, with which the time has come to ask the CA when to renew."""
    server.stop()
    state = json.loads(kept(server).read_text())
    state["nextCheck"] = "2020-01-01T00:00:00Z"
    kept(server).write_text(json.dumps(state))
    return Program(program, ca, "a.test", folder=server.folder, **settings)


def wait_for_answer(server):
    return wait_until(server.log, lambda: not json.loads(kept(server).read_text())["nextCheck"].startswith("2020"))


def window_honoured():
    """Fractions of seconds and offsets included."""
    with ca_with() as ca, Program(program, ca, "a.test") as server:
        wait_for_window(server)
        planned = seconds_from_now(status(server)["nextAttempt"])
        holds(58 * day < planned < 62 * day, planned)
        certificate = served(server)
        for first, last in ((20, 21), (3, 4)):
            ca.set_renewal_info(certificate, window(first * day, last * day, explanationURL="https://ca.test/why"))
            with asking_again(ca, server) as again:
                wait_until(again.log, lambda: "acme.window_changed" in again.log())
                contains(again.log(), "see https://ca.test/why")
                # Not within a tenth of its life, whatever the CA wants.
                earliest = max(first, 9) * day
                planned = seconds_from_now(status(again)["nextAttempt"])
                holds(earliest - 60 < planned < max(last * day, earliest + 60), planned)
        equal(ca.orders(), 1)


def renewed_early():
    """By a window that moved, and as the successor of the certificate before."""
    with ca_with(validity=120) as ca, Program(program, ca, "a.test") as server:
        wait_for_window(server)
        begin = time.monotonic()
        ca.set_renewal_info(served(server), window(-60, 40))
        wait_until(server.log, lambda: "acme.renewed" in server.log(), 55, 0.2)
        holds(10 < time.monotonic() - begin, "within a tenth of its life")
        contains(server.log(), "which replaces ")
        holds("acme.revoked" not in server.log(), server.log())


def revoked():
    """A window in the past: replaced at once, with another key, and only once."""
    with ca_with() as ca, Program(program, ca, "a.test") as server:
        wait_for_window(server)
        before = served(server)
        ca.set_renewal_info(before, window(-7200, -3600))
        with asking_again(ca, server) as again:
            wait_until(again.log, lambda: "acme.renewed" in again.log())
            contains(again.log(), "acme.revoked", "which replaces ")
            after = served(again)
            holds(public_key(before) != public_key(after), "the same key")
            ca.set_renewal_info(after, window(-7200, -3600))
            with asking_again(ca, again) as third:
                wait_for_answer(third)
                time.sleep(0.5)
                holds("acme.revoked" not in third.log(), third.log())
        equal(ca.orders(), 2)


def malformed():
    """The window that was known before stays."""
    with ca_with() as ca, Program(program, ca, "a.test") as server:
        wait_for_window(server)
        certificate, planned = served(server), status(server)["nextAttempt"]
        for answer in ("no JSON", "[]", "{}", '{"suggestedWindow": 1}', '{"suggestedWindow": {"start": "now"}}',
                       '{"suggestedWindow": {"start": "2020-02-30T00:00:00Z", "end": "2020-03-01T00:00:00Z"}}',
                       '{"suggestedWindow": {"start": "9999-12-31T23:59:59Z", "end": "0001-01-01T00:00:00Z"}}',
                       '{"suggestedWindow": {"start": "2026-12-01T00:00:00Z", "end": "2026-12-01T00:00:00Z"}}',
                       window(1000, -1000), "[" * 10000, window(0, day) * 2, "\0"):
            ca.set_renewal_info(certificate, answer)
            with asking_again(ca, server) as again:
                wait_for_answer(again)
                equal(status(again)["nextAttempt"], planned)
                equal(again.ask("a.test"), (200, "Hello from a.test\n"))
        equal(ca.orders(), 1)


def already_replaced():
    """A storage of before a renewal: its certificate has a successor already."""
    with ca_with() as ca:
        with Program(program, ca, "a.test") as server:
            wait_for_window(server)
            earlier = new_folder() / "copy"
            shutil.copytree(server.folder, earlier, symlinks=True)
            equal(server.ask("a.test", "/renew/a.test", "POST"), (200, "renewed\n"))
            contains(server.log(), "which replaces ")
        with Program(program, ca, "a.test", folder=earlier) as again:
            equal(again.ask("a.test", "/renew/a.test", "POST"), (200, "renewed\n"))
            contains(again.log(), "alreadyReplaced")
        equal(ca.orders(), 3)


def chosen_profile():
    with ca_with(profiles={"long": 30 * day, "short": 7200, "tiny": 3600}) as ca:
        for name, least, most in (("short", 3600, 7200), ("long", day, 30 * day)):
            with Program(program, ca, "a.test", profile=name) as server:
                server.wait_for_certificate("a.test")
                equal(status(server)["profile"], name)
                holds(least < seconds_from_now(status(server)["notAfter"]) < most, status(server))


def unknown_profile():
    """Nothing is ordered; a restart with a profile that there is tries at once."""
    with ca_with(profiles={"long": 30 * day, "short": 7200}) as ca:
        with Program(program, ca, "a.test", profile="shorter") as server:
            wait_until(server.log, lambda: "acme.failed" in server.log())
            contains(server.log(), "has no profile 'shorter'; choose one of long, short, or leave `profile` empty")
            equal(ca.orders(), 0)
        with Program(program, ca, "a.test", profile="short", folder=server.folder) as server:
            server.wait_for_certificate("a.test")


def slow_ca():
    """Retry-After comes by turns in seconds and as a date, and no Location after finalize."""
    names = ",".join(f"n{i}.test" for i in range(8))
    with ca_with(hesitation=2) as ca, Program(program, ca, names) as server:
        server.wait_for_certificate("n7.test")
        equal(ca.orders(), 1)
        holds(ca.log().count("POST /authZ/") < 8 * 6, "asked again without a pause")


def user_agent():
    """No request is answered without one, so every one of ours has it."""
    with ca_with() as ca:
        place = urllib.parse.urlsplit(ca.directory)
        connection = http.client.HTTPSConnection(place.netloc, timeout=5,
                                                 context=ssl.create_default_context(cafile=ca.roots_file))
        with contextlib.closing(connection):
            connection.request("GET", place.path)
            answer = connection.getresponse()
            holds(answer.status >= 400, answer.status)
            contains(answer.read().decode(), "User-Agent")
        with Program(program, ca, "a.test") as server:
            server.wait_for_certificate("a.test")


def addresses(challenge):
    def case():
        with ca_with() as ca, Program(program, ca, "127.0.0.1,a.test", challenge=challenge) as server:
            shown = server.wait_for_certificate("127.0.0.1")["subjectAltName"]
            equal(sorted(shown), [("DNS", "a.test"), ("IP Address", "127.0.0.1")])

    return case


run([
    ("the window of the CA is honoured", window_honoured),
    ("a moved window: renewed early, with replaces", renewed_early),
    ("a window in the past: replaced with a new key", revoked),
    ("malformed renewal information", malformed),
    ("409 alreadyReplaced", already_replaced),
    ("the profile that was chosen", chosen_profile),
    ("a profile that is not offered", unknown_profile),
    ("Retry-After in seconds and as a date", slow_ca),
    ("User-Agent", user_agent),
    ("an address and a name by http-01", addresses("http-01")),
    ("an address and a name by tls-alpn-01", addresses("tls-alpn-01")),
], seconds=70)
