#!/usr/bin/env python3
"""Two CAs, one after the other: the second is asked when the first refuses for good, when it does not answer and it is
late, and not before. tests/tools/several_cas.cpp is the server."""

import contextlib
import datetime
import json
import ssl
import time

from harness import contains, equal, holds, need, run_together
import pebble
from pebble import Pebble, Program, wait_until

program = need("several_cas")
pebble.need_pebble()

account_key = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"


@contextlib.contextmanager
def two(first=None, second=None):
    """Two CAs with roots of their own that look for answers at the same place."""
    with Pebble(**(first or {})) as one, Pebble(beside=one, **(second or {})) as other:
        yield one, other


def begin(first, second, *domains, **settings):
    return Program(program, first, f"directory={second.directory}", f"roots_file={second.roots_file}", *domains,
                   log=None, control=None, **settings)


def document(server, kind):
    path, = server.folder.glob(f".alos-certs/{kind}/*.json")
    return path, json.loads(path.read_text())


def again(server, first, second, *domains, **settings):
    """The same after a restart, when the time for the next attempt has come."""
    server.stop()
    path, state = document(server, "state")
    state["nextAttempt"] = "2020-01-01T00:00:00Z"
    path.write_text(json.dumps(state))
    return begin(first, second, *domains, folder=server.folder, **settings)


def failed(server, how_often=1):
    """What the record says of that failure."""
    wait_until(server.log, lambda: len(server.records("acme.failed")) == how_often)
    return server.records("acme.failed")[-1]["message"]


def is_from(server, ca, name="a.test"):
    """Until the name has a certificate of that CA."""
    context = ssl.create_default_context(cadata=ca.roots[0])
    return wait_until(server.log, lambda: server.certificate(name, context), pause=0.1)


def refused_name():
    with two({"blocked": ["a.test"]}) as (first, second), begin(first, second, "a.test") as server:
        contains(failed(server), f"order: {first.directory} says 400 rejectedIdentifier: ",
                 "; leave that name out, or use another CA; next attempt ", f" at {second.directory}")
        is_from(server, second)
        contains(server.log(), f"obtained from {second.directory}")
        equal(len(server.records("acme.failed")), 1)
        equal((first.orders(), second.orders()), (0, 1))


def no_external_account():
    with two({"eab": {"kid-1": account_key}}) as (first, second), begin(first, second, "a.test") as server:
        contains(failed(server), f"account: {first.directory} wants an external account; set eab_kid",
                 f" at {second.directory}")
        is_from(server, second)
        equal((first.orders(), second.orders()), (0, 1))


def down_without_certificate():
    """Three times in vain, and then the second."""
    with two() as (first, second):
        first.stop()
        asked = second.requests()
        server = begin(first, second, "a.test")
        for failure in (1, 2, 3):
            with server:
                said = failed(server)
                contains(said, "directory: ", "refused")
                equal(second.requests(), asked)
                equal(f" at {second.directory}" in said, failure == 3)
                server = again(server, first, second, "a.test")
        with server:
            is_from(server, second)
        holds(second.requests() > asked, "no request is counted")


def down_with_certificate():
    """The second is asked when a sixth of life is left, and nobody is ever without a certificate."""
    life = 24
    with two({"validity": life}, {"validity": life}) as (first, second), begin(first, second, "a.test") as server:
        is_from(server, first)
        first.stop()
        end = ssl.cert_time_to_seconds(server.certificate("a.test")["notAfter"])
        asked = second.requests()
        contains(failed(server), "; next attempt ")
        while time.time() < end - life / 6 - 1.5:
            equal(second.requests(), asked)
            holds(server.certificate("a.test"), "the first certificate is not served any more")
            time.sleep(0.2)
        is_from(server, second)
        holds(time.time() < end, "too late")
        renewed, = wait_until(server.log, lambda: server.records("acme.renewed"))
        when = datetime.datetime.fromisoformat(renewed["time"].replace("Z", "+00:00")).timestamp()
        holds(end - life / 6 - 2 <= when, f"{end - when} s before its end")
        equal(second.orders(), 1)


def accounts():
    """One for each CA and e-mail address, with a key of its own; a restart makes none."""
    with two({"blocked": ["b.test"]}) as (first, second):
        with begin(first, second, "b.test", email="one@example.com") as server:
            is_from(server, second, "b.test")
        for email, names in (("one@example.com", ["b.test", "c.test"]), ("one@example.com", ["b.test", "d.test"]),
                             ("other@example.com", ["b.test", "e.test"])):
            with begin(first, second, *names, folder=server.folder, email=email) as server:
                is_from(server, first, names[-1])
        folder = server.folder / ".alos-certs/account"
        keys = {each: each.read_text() for each in folder.glob("*.key*")}
        kept = [json.loads(each.read_text()) for each in folder.glob("*.json") if each not in keys]
        equal(sorted((each["directory"], each["email"]) for each in kept),
              sorted([(first.directory, "one@example.com"), (first.directory, "other@example.com"),
                      (second.directory, "one@example.com")]))
        equal((len(set(keys.values())), len(list(folder.iterdir()))), (3, 6))
        equal((first.accounts(), second.accounts()), (2, 1))


run_together([
    ("the first is down, and it gets late", down_with_certificate),
    ("the first refuses the name", refused_name),
    ("the first wants an external account", no_external_account),
    ("the first is down, and there is no certificate", down_without_certificate),
    ("accounts", accounts),
], seconds=80)
