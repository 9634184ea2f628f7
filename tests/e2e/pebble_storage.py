#!/usr/bin/env python3
"""The folder of certificates: what is served from it without a network, what becomes of files that are broken, and of
a disk that is full."""

import contextlib
import os
import re
import ssl
import subprocess
import time

from harness import Skip, contains, equal, holds, need, run_together
import pebble
from pebble import Pebble, Program, new_folder, wait_until

program = need("acme")
pebble.need_pebble()

anybody = ssl._create_unverified_context()


def contents(folder):
    """What is in it, links and empty folders included."""
    return {str(path.relative_to(folder)): os.readlink(path) if path.is_symlink()
            else path.read_bytes() if path.is_file() else "folder" for path in folder.rglob("*")}


def changes(before, after):
    """Which of two contents() are not the same."""
    return sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))


def shown(server, name="a.test"):
    """What the server shows for the name, whoever made it, as PEM."""
    with contextlib.closing(server.connect(name, anybody)) as connection:
        return ssl.DER_cert_to_PEM_cert(connection.sock.getpeercert(True))


def served_within_a_second(ca, folder, name="a.test"):
    """Starts a server whose CA is down, and is what it shows at first."""
    begin = time.monotonic()
    server = Program(program, ca, name, folder=folder)

    def first():
        with contextlib.suppress(ConnectionError):
            return shown(server, name)

    pem = wait_until(server.log, first, pause=0.005)
    took = time.monotonic() - begin
    holds(took < 1, f"only after {took} s")
    return server, pem


def nothing_changes():
    with Pebble() as ca:
        with Program(program, ca, "a.test") as server:
            first = server.wait_for_certificate("a.test")
            # The CA's advice is asked for a moment later.
            state, = wait_until(server.log, lambda: list(server.folder.glob(".alos-certs/state/*.json")))
            wait_until(server.log, lambda: "nextCheck" in state.read_text())
        ca.stop()
        before = contents(server.folder)
        again, pem = served_within_a_second(ca, server.folder)
        with again:
            equal(again.certificate("a.test"), first)
        equal(changes(before, contents(server.folder)), [])


def expired():
    """It is served all the same; only the state of its renewal changes."""
    with Pebble(validity=5) as ca:
        with Program(program, ca, "a.test") as server:
            certificate = server.wait_for_certificate("a.test")
            pem = shown(server)
        ca.stop()
        end = ssl.cert_time_to_seconds(certificate["notAfter"])
        wait_until("its end", lambda: time.time() > end + 1)
        before = contents(server.folder)
        again, at_first = served_within_a_second(ca, server.folder)
        with again:
            equal(at_first, pem)
            wait_until(again.log, lambda: again.records("acme.failed"))
            equal(shown(again), pem)
        # That it was tried, and that nobody is to ask too often.
        changed = {path.split("/")[1] for path in changes(before, contents(server.folder))}
        equal(changed - {"locks", "limits"}, {"state"})


def broken(path, spoil, survives=False):
    """A server starts with one file spoilt, whose new text is what `spoil` makes of the old one: an error tells of it,
    the bytes are still somewhere, b.test is served at once, and a.test in the end."""
    def case():
        with Pebble() as ca, Program(program, ca, "a.test", "b.test") as server:
            first = server.wait_for_certificate("a.test")
            other = server.wait_for_certificate("b.test")
            server.stop()
            file, = server.folder.glob(f".alos-certs/{path}")
            spoilt = spoil(file.read_bytes())
            file.write_bytes(spoilt)
            with Program(program, ca, "a.test", "b.test", folder=server.folder) as again:
                equal(again.certificate("b.test"), other)
                now = again.wait_for_certificate("a.test")
                if survives:
                    equal(now["serialNumber"], first["serialNumber"])
                else:
                    holds(now["serialNumber"] != first["serialNumber"], "the same certificate")
                if "account" in path:
                    equal(again.ask("a.test", "/renew/a.test", "POST"), (200, "renewed\n"))
                if "account" in path:
                    equal(again.ask("a.test", "/renew/a.test", "POST"), (200, "renewed\n"))
                told = again.records("acme.unreadable")
                equal(len(told), 1)
                equal({each["level"] for each in told}, {"ERROR"})
                kept, = [name for name, text in contents(server.folder).items() if text == spoilt]
                named = re.sub(r"(/\d{6}\.broken-[^/]*)/.*", r"\1", kept)  # a generation is moved aside whole
                holds(all(named in each["message"] for each in told), f"no {named} in {told}")
            if kept == str(file.relative_to(server.folder)):
                return
            # What was moved aside is not told of again.
            with Program(program, ca, "a.test", "b.test", folder=server.folder) as third:
                third.wait_for_certificate("a.test")
                equal(third.records("acme.unreadable"), [])

    return case


def newest_broken():
    """The generation before is served, and an error tells why."""
    with Pebble() as ca, Program(program, ca, "a.test") as server:
        first = server.wait_for_certificate("a.test")
        equal(server.ask("a.test", "/renew/a.test", "POST"), (200, "renewed\n"))
        server.stop()
        chain = server.folder / ".alos-certs/certs/a.test.ecdsa-p256/000002/fullchain.pem"
        chain.write_bytes(chain.read_bytes()[:100])
        ca.stop()
        with Program(program, ca, "a.test", folder=server.folder) as again:
            equal(again.certificate("a.test"), first)
            told, = again.records("acme.unreadable")
            contains(told["message"], "000002/fullchain.pem")
            contains(told["message"], "000002.broken-")
            contains(told["message"], "generation 1 serves instead")
            equal((chain.parents[1] / "current").readlink().name, "000001")


@contextlib.contextmanager
def small_disk(size):
    """A folder that has room for so many bytes only."""
    folder = new_folder()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", folder], capture_output=True,
                             text=True)
    if mounted.returncode != 0:
        raise Skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def fill(folder, left=0):
    """A file that takes all the room there but for so many bytes."""
    filling = folder / "filling"
    with open(filling, "wb", buffering=0) as file:
        with contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
        file.truncate(max(0, file.tell() - left))
    return filling


def full_disk():
    """The last good certificate stays in use, the record says why; when there is room again, it goes on by itself."""
    with Pebble(validity=100) as ca, small_disk(512 * 1024) as folder, \
            Program(program, ca, "a.test", cache_dir=folder) as server:
        first = server.wait_for_certificate("a.test")
        filling = fill(folder)
        status, said = server.ask("a.test", "/renew/a.test", "POST")
        equal(status, 502)
        contains(said, "No space left on device", "; make room on that disk")
        record, = server.records("acme.failed")
        contains(record["message"], said.strip(), "; next attempt ")
        equal(server.certificate("a.test"), first)
        equal(ca.orders(), 1)
        filling.unlink()
        wait_until(server.log, lambda: server.records("acme.renewed"), 30)
        holds(server.certificate("a.test")["serialNumber"] != first["serialNumber"], "the same certificate")
        equal(server.ask("a.test"), (200, "Hello from a.test\n"))


def nearly_full_disk():
    """Whichever file there is no room for: nothing is lost, and an order that could be kept is gone on with."""
    with Pebble() as ca, small_disk(512 * 1024) as folder, \
            Program(program, ca, "a.test", cache_dir=folder) as server:
        serial = server.wait_for_certificate("a.test")["serialNumber"]
        refused = []
        for left in range(0, 32 * 1024, 4096):
            filling, before = fill(folder, left), ca.orders()
            status, said = server.ask("a.test", "/renew/a.test", "POST")
            filling.unlink()
            shown = server.certificate("a.test")["serialNumber"]
            equal(shown == serial, status == 502)
            if status == 502:
                refused.append(said.partition(":")[0])
                contains(said, "No space left on device")
                equal(server.ask("a.test", "/renew/a.test", "POST"), (200, "renewed\n"))
                holds(ca.orders() - before <= (2 if refused[-1] == "order" else 1), refused)
                shown = server.certificate("a.test")["serialNumber"]
            serial = shown
        holds({"lock", "storage"} <= set(refused) and len(refused) < 8, refused)
        equal([str(path) for path in folder.rglob(".*.new")], [])


def other_key(_):
    return subprocess.run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout"], capture_output=True,
                          check=True).stdout


chain, key = (f"certs/a.test.ecdsa-p256/000001/{name}.pem" for name in ("fullchain", "privkey"))

run_together([
    ("a full disk", full_disk),
    ("a disk that is nearly full", nearly_full_disk),
    ("an expired certificate, and no network", expired),
    ("a start without network", nothing_changes),
    ("a truncated chain", broken(chain, lambda text: text[:len(text) // 3])),
    ("a key of another certificate", broken(key, other_key)),
    ("the newest of two generations is broken", newest_broken),
    ("a state that is garbage",
     broken("state/a.test.ecdsa-p256.json", lambda text: bytes(255 - each for each in text), survives=True)),
    ("an account key that is garbage", broken("account/*.key*", lambda _: b"what is this\n", survives=True)),
], seconds=80)
