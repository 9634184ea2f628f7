#!/usr/bin/env python3
"""Shows step by step how examples/acme.cpp gets and renews its certificates, from Pebble, a CA on this machine:

    tools/demo_acme.py build/serve/examples/acme
"""

import pathlib
import re
import subprocess
import sys
import time

root = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(root / "tests" / "support"))
from pebble import Load, Pebble, Program, need_pebble  # noqa: E402

program = pathlib.Path(sys.argv[1]).resolve()
bold, plain = ("\x1b[1m", "\x1b[0m") if sys.stdout.isatty() else ("", "")
begin = time.monotonic()


def step(text):
    print(f"\n{bold}{text}{plain}", flush=True)


def tell(text):
    print(f"  {time.monotonic() - begin:5.1f} s  {text}", flush=True)


class Told:
    """Prints what the server's log says about certificates."""

    def __init__(self, server):
        self.server, self.seen = server, 0

    def until(self, event, count=1, seconds=60):
        """Up to the line that has the event for the count-th time from here on."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            lines = self.server.log().splitlines(True)
            for line in lines[self.seen:]:
                if not line.endswith("\n"):
                    break
                self.seen += 1
                self.line(line)
                count -= f" {event} " in line
                if count == 0:
                    return
            time.sleep(0.05)
        raise SystemExit(f"no {event} within {seconds} s:\n{self.server.log()}")

    @staticmethod
    def line(line):
        found = re.search(r"(acme\.\w+) +(?:certificate=(\S+) )?message=(?:\"(.*)\"|(\S+))$", line.strip())
        if found:
            about = f"{found[2]}: " if found[2] else ""
            tell(f"{found[1]:<21} {about}{found[3] or found[4]}")


def curl(ca, server, name):
    url = f"https://{name}:{server.tls_port}/"
    tell(f"curl --cacert pebble-root.pem {url}")
    done = subprocess.run(["curl", "-sS", "--noproxy", "*", "--max-time", "10", "--cacert", ca.folder / "root.pem",
                           "--resolve", f"{name}:{server.tls_port}:127.0.0.1", url], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"curl failed: {done.stderr}{server.log()}")
    tell(f"-> {done.stdout.strip()}")


def main():
    need_pebble()
    step("1. A CA: Pebble, strict, refusing a fifth of all good nonces")
    with Pebble(nonce_reject=20, chain_length=2) as ca:
        (ca.folder / "root.pem").write_text(ca.roots[0])
        tell(f"its directory is {ca.directory}")
        tell(f"every name leads to 127.0.0.1; it looks for answers at ports {ca.http_port} and {ca.tls_port}")

        step("2. A server for one.test: it registers, orders, and proves itself by http-01")
        with Program(program, ca, "one.test", email="admin@one.test", challenge="http-01") as server:
            Told(server).until("acme.obtained")
            curl(ca, server, "one.test")
        tell("stopped")

        step("3. The same with one more name: one.test comes from the cache, two.test is proved by tls-alpn-01")
        with Program(program, ca, "one.test", "two.test", email="admin@one.test", challenge="tls-alpn-01",
                     folder=server.folder) as server:
            told = Told(server)
            told.until("acme.obtained")
            curl(ca, server, "one.test")
            curl(ca, server, "two.test")

            step("4. The certificate of two.test is renewed while clients ask without pause")
            before = server.certificate("two.test")["serialNumber"]
            tell(f"serial number {before}")
            with Load(server, "two.test", clients=4) as load:
                time.sleep(1)
                tell(f"{load.requests} requests; POST /renew/two.test")
                status, text = server.ask("two.test", "/renew/two.test", "POST")
                told.until("acme.renewed")
                tell(f"-> {status} {text.strip()}")
                time.sleep(1)
            after = server.certificate("two.test")["serialNumber"]
            tell(f"serial number {after}")

        step("5. Summary")
        dropped = len(load.errors)
        tell(f"{ca.orders()} orders, {load.requests} requests over the renewal, {dropped} dropped, "
             f"{len(load.serials)} certificates seen")
        for error in load.errors[:5]:
            tell(error)
        if dropped or load.serials != [before, after] or status != 200:
            raise SystemExit("that is not as it should be")
        tell("all of it as it should be")


main()
