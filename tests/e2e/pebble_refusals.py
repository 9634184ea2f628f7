#!/usr/bin/env python3
"""What a CA may refuse, and what becomes of it: one record in the log that says in which phase, for which certificate,
which CA, in whose words, what helps and when it is tried again; and the server goes on serving."""

import datetime
import email.utils
import ssl
import time

from harness import contains, equal, holds, need, run_together
import pebble
from acme_proxy import Proxy
from pebble import Pebble, Program, free_port, wait_until

program = need("acme")
pebble.need_pebble()

day = 24 * 3600
anybody = ssl._create_unverified_context()
account_key = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"


def seconds(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def check_record(server, ca, phase, words, cure, wait, name="a.test"):
    """The one record of trouble has all of this, in this order; `wait` is the least and the most time until the next
    attempt, in seconds. Nothing else is out of order: who asks for the name is answered."""
    wait_until(server.log, lambda: server.records("acme.failed"))
    equal(server.ask(name, context=anybody), (200, f"Hello from {name}\n"))
    record, = server.records("acme.failed")
    equal(record["certificate"], f"{name}.ecdsa-p256")
    message = record["message"]
    holds(message.startswith(f"{phase}: "), message)
    begin = 0
    for part in (ca.directory, *words, cure, "; next attempt "):
        holds(part in message[begin:], f"no {part!r} from {begin} on in {message}")
        begin = message.index(part, begin) + len(part)
    planned = seconds(message[begin:].split()[0]) - seconds(record["time"])
    holds(wait[0] - 2 <= planned <= wait[1] + 2, f"{planned} s instead of {wait}")
    # But for one about a page that somebody has to visit.
    loud = [line.split()[2] for line in server.log().splitlines() if line.split()[1] in ("WARN", "ERROR")]
    equal([event for event in loud if event != "acme.action_required"], ["acme.failed"])


def at_pebble(phase, words, cure, wait, ca_settings=None, eab_hmac_key=None, **settings):
    """What Pebble itself refuses."""
    def case():
        with Pebble(**(ca_settings or {})) as ca:
            if eab_hmac_key:
                settings["eab_hmac_key_file"] = ca.folder / "eab.key"
                settings["eab_hmac_key_file"].write_text(eab_hmac_key)
            with Program(program, ca, "a.test", **settings) as server:
                check_record(server, ca, phase, words, cure, wait)

    return case


def at_proxy(path, status, body, phase, words, cure, wait, **more):
    """What Pebble does not refuse."""
    def case():
        with Pebble() as ca, Proxy(ca) as proxy:
            proxy.refuse(path, status, body, **{name: made() if callable(made) else made
                                                for name, made in more.items()})
            with Program(program, ca, "a.test", directory=proxy.directory) as server:
                check_record(server, proxy, phase, words, cure, wait)

    return case


def problem(kind, detail, **more):
    return {"type": f"urn:ietf:params:acme:error:{kind}", "detail": detail, **more}


def one_of_two():
    """The other name has its certificate all the same."""
    with Pebble(blocked=["a.test"]) as ca, Program(program, ca, "a.test", "b.test") as server:
        server.wait_for_certificate("b.test")
        check_record(server, ca, "order", ["400 rejectedIdentifier: ", "a.test"], "leave that name out", (day, day))
        equal(server.ask("b.test"), (200, "Hello from b.test\n"))


def nobody_answers():
    """Both challenges fail, the second of them in a new order."""
    with Pebble() as ca:
        with Program(program, ca, "a.test", http_port=free_port(), tls_port=free_port(), self_check="off") as server:
            check_record(server, ca, "authorization", ["tls-alpn-01 for a.test failed: ", "Failed to connect to "],
                         "let the CA reach port 443 of every address of a.test", (60, 60))
            contains(server.log(), "http-01 for a.test failed: 400 connection: ",
                     "let the CA reach port 80 of every address of a.test", "; trying another challenge")
            equal(ca.orders(), 2)


def limits_end():
    """What a CA said about waiting is waited for and no longer, without anybody's help."""
    with Pebble(validity=120) as ca, Proxy(ca) as proxy:
        with Program(program, ca, "a.test", directory=proxy.directory) as server:
            server.wait_for_certificate("a.test")
            proxy.refuse("/order-plz", 429, limited, {"Retry-After": "12"})
            status, said = server.ask("a.test", "/renew/a.test", "POST")
            begin = time.monotonic()
            equal(status, 502)
            contains(said, "429 rateLimited: ")
            proxy.relent()
            asked = proxy.requests.count("POST /order-plz")
            wait_until(server.log, lambda: server.records("acme.renewed"))
            waited = time.monotonic() - begin
            holds(11 < waited < 15, f"{waited} s instead of 12")
            equal(proxy.requests.count("POST /order-plz"), asked + 1)
            equal(len(server.records("acme.failed")), 1)


def in_an_hour():
    return {"Retry-After": email.utils.formatdate(time.time() + 3600, usegmt=True)}


limited = problem("rateLimited", "too many certificates already issued for a.test")
forbidden = "CAA record for a.test prevents issuance"
page = "<html>502 Bad Gateway</html>"
mac = {"eab": {"kid-1": account_key}}

run_together([
    ("a rate limit is waited for", limits_end),
    ("one blocked name of two", one_of_two),
    ("a contact that is refused",
     at_pebble("account", ["400 "], "correct the e-mail address", (day, day), email="nobody")),
    ("no external account",
     at_pebble("account", ["wants an external account"], "set eab_kid and eab_hmac_key", (day, day), mac)),
    ("an unknown external account",
     at_pebble("account", ["403 unauthorized: "], "made with the eab_kid and eab_hmac_key", (day, day), mac,
               eab_kid="kid-2", eab_hmac_key=account_key)),
    ("the wrong key of an external account",
     at_pebble("account", ["403 unauthorized: "], "made with the eab_kid and eab_hmac_key", (day, day), mac,
               eab_kid="kid-1", eab_hmac_key="AAAA")),
    ("a key of an external account that is none",
     at_pebble("account", ["is not base64url"], "copy it again from the CA's page", (day, day), mac, eab_kid="kid-1",
               eab_hmac_key="what?")),
    ("CAA, when the certificate is asked for",
     at_proxy("/finalize-order/", 403, problem("caa", forbidden), "finalize", ["403 caa: " + forbidden],
              "add a CAA record for this CA", (day, day))),
    ("an account that the CA has closed",
     at_proxy("/order-plz", 401, problem("unauthorized", "the account is deactivated"), "order",
              ["401 unauthorized: the account is deactivated"], "check that", (60, 60))),
    ("a limit of orders, in seconds",
     at_proxy("/order-plz", 429, limited, "order", ["429 rateLimited: too many certificates"],
              "wait, or use another CA", (7200, 7200), headers={"Retry-After": "7200"})),
    ("a limit of orders, as a date",
     at_proxy("/order-plz", 429, limited, "order", ["429 rateLimited: too many certificates"],
              "wait, or use another CA", (3600, 3600), headers=in_an_hour)),
    ("a limit of accounts",
     at_proxy("/sign-me-up", 429, limited, "account", ["429 rateLimited: too many certificates"],
              "wait, or use another CA", (600, 600))),
    ("a load balancer's limit",
     at_proxy("/nonce-plz", 503, "", "nonce", ["503"], "wait", (900, 900), headers={"Retry-After": "900"},
              content_type="text/html")),
    ("a page instead of a directory",
     at_proxy("/dir", 502, page, "directory", ["502: " + page], "wait", (60, 60), content_type="text/html")),
    ("terms of service that nobody agreed to",
     at_proxy("/order-plz", 403, problem("userActionRequired", "the terms changed", instance="https://ca.test/terms"),
              "order", ["403 userActionRequired: the terms changed; see https://ca.test/terms"],
              "open the page that the CA names", (day, day))),
    ("neither challenge can be answered", nobody_answers),
], seconds=80, at_once=6)
