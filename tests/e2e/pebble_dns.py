#!/usr/bin/env python3
"""examples/acme.cpp proves names by dns-01 (RFC 8555 8.4) with a program that changes the DNS: a shell script with
curl, which tells Pebble's DNS server what to say."""

import os
import time

from harness import contains, equal, holds, need, run
import pebble
from pebble import Pebble, Program, new_folder, wait_until

program = need("acme")
need("curl")
pebble.need_pebble()

# The server there adds values one by one, and forgets them by name.
changes_dns = """
case $1 in
present) curl -sS --noproxy '*' -d "{\\"host\\": \\"$2\\", \\"value\\": \\"$3\\"}" COMMANDS/set-txt ;;
cleanup) curl -sS --noproxy '*' -d "{\\"host\\": \\"$2\\"}" COMMANDS/clear-txt ;;
esac || exit
echo "$*" >>CALLS
"""


class Hook:
    """A script for one CA; `calls` are the words of each call that it came to the end of."""

    def __init__(self, ca, lines=changes_dns):
        folder = new_folder()
        self.path, self.file = folder / "hook", folder / "calls"
        self.path.write_text("#!/bin/sh\n" + lines.replace("COMMANDS", ca.commands).replace("CALLS", str(self.file)))
        self.path.chmod(0o755)
        self.file.touch()

    def calls(self):
        return [line.split() for line in self.file.read_text().splitlines()]


def names(certificate):
    return sorted(value for _, value in certificate["subjectAltName"])


def wildcard_and_apex(newer):
    """Both in one certificate: two values under one name."""
    def case():
        with Pebble(newer=newer) as ca:
            hook = Hook(ca)
            with Program(program, ca, "a.test,*.a.test", dns_exec=hook.path, challenge="dns-01") as server:
                equal(names(server.wait_for_certificate("a.test")), ["*.a.test", "a.test"])
                equal(server.ask("b.a.test"), (200, "Hello from b.a.test\n"))
                wait_until(server.log, lambda: len(hook.calls()) == 4)
                equal([call[:2] for call in hook.calls()],
                      [["present", "_acme-challenge.a.test."]] * 2 + [["cleanup", "_acme-challenge.a.test."]] * 2)
                equal(len({call[2] for call in hook.calls()}), 2)
                equal(ca.orders(), 1)
                holds("warning: " not in server.log(), server.log())

    return case


def both_ways():
    """Only what needs it is proven by dns-01."""
    with Pebble() as ca:
        hook = Hook(ca)
        with Program(program, ca, "a.test,*.b.test", dns_exec=hook.path) as server:
            server.wait_for_certificate("a.test")
            contains(server.log(), "publishing the answer to http-01 for a.test",
                     "publishing the answer to dns-01 for *.b.test")
            equal({call[1] for call in hook.calls()}, {"_acme-challenge.b.test."})


def program_fails():
    with Pebble() as ca:
        hook = Hook(ca, "echo the zone is locked >&2\nexit 9\n")
        with Program(program, ca, "*.a.test", dns_exec=hook.path) as server:
            wait_until(server.log, lambda: "acme.failed" in server.log())
            contains(server.log(), f"{hook.path} present _acme-challenge.a.test.: it ended with exit status 9, and "
                                   "said: the zone is locked")
            equal(server.certificate("x.a.test"), None)


def stopped_meanwhile():
    """With the server its program ends."""
    with Pebble() as ca:
        hook = Hook(ca, "[ $1 = cleanup ] || { echo $$ >>CALLS; exec sleep 1000; }\n")
        with Program(program, ca, "*.a.test", dns_exec=hook.path) as server:
            wait_until(server.log, hook.calls)
            begin = time.monotonic()
            equal(server.stop(), 0)
            holds(time.monotonic() - begin < 4, "it took too long to end")
        holds(not os.path.exists(f"/proc/{hook.calls()[0][0]}"), "the program is still there")


def no_program():
    """Refused before anything is asked of the CA, with the cure."""
    with Pebble() as ca, Program(program, ca, "*.a.test") as server:
        wait_until(server.log, lambda: "acme.start" in server.log() or "a wildcard is proven" in server.log())
        contains(server.log(), "*.a.test: a wildcard is proven by dns-01 only; set `dns`")
        equal(ca.orders(), 0)


run([
    ("a wildcard and its apex in one certificate", wildcard_and_apex(False)),
    ("the same with the newest Pebble that is here", wildcard_and_apex(True)),
    ("http-01 and dns-01 in one order", both_ways),
    ("the program fails", program_fails),
    ("SIGTERM while the program hangs", stopped_meanwhile),
    ("a wildcard without a program", no_program),
], seconds=40)
