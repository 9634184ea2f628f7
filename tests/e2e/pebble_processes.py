#!/usr/bin/env python3
"""Processes that share a folder, and a process that is killed at any moment: one order, one certificate, and never a
folder that is broken."""

import json
import os
import random
import re
import ssl
import time

from harness import equal, holds, need, run_together
import pebble
from acme_proxy import Proxy
from pebble import Pebble, Program, free_port, new_folder, wait_until

program = need("acme")
pebble.need_pebble()


def when_stored(folder, generation):
    """The time on the clock at which that generation became the current one."""
    current = folder / ".alos-certs/certs/a.test.ecdsa-p256/current"
    wait_until(current, lambda: current.is_symlink() and int(os.readlink(current)) == generation, 30)
    return current.lstat().st_mtime


def served_by_all(servers):
    """The serial number of the certificate that each of many connections is shown, which may lead to any process that
    listens there; None if they differ."""
    shown = [server.certificate("a.test") for server in servers for _ in range(20)]
    serials = {each["serialNumber"] if each else None for each in shown}
    return serials.pop() if len(serials) == 1 else None


def racing(challenge, same_ports):
    """Begun at the same moment, on the same ports or others: one order, and both serve what came of it within two
    seconds; the same again when one of them is asked to renew."""
    def case():
        folder = new_folder()
        with Pebble() as ca:
            ports = {"shares_ports": True} if same_ports else {"http_port": free_port(), "tls_port": free_port()}
            one = Program(program, ca, "a.test", folder=folder, challenge=challenge, shares_ports=same_ports)
            other = Program(program, ca, "a.test", folder=folder, challenge=challenge, **ports)
            with one, other:
                stored = when_stored(folder, 1)
                first = wait_until(one.log, lambda: served_by_all((one, other)))
                holds(time.time() - stored < 2, f"{time.time() - stored} s after it was stored")
                equal(ca.orders(), 1)
                equal(one.ask("a.test", "/renew/a.test", "POST"), (200, "renewed\n"))
                stored = when_stored(folder, 2)
                wait_until(other.log, lambda: served_by_all((one, other)) not in (None, first))
                holds(time.time() - stored < 2, f"{time.time() - stored} s after it was stored")
                equal(ca.orders(), 2)
                for each in (one, other):
                    equal(len(each.records("acme.obtained")) + len(each.records("acme.renewed"))
                          + len(each.records("acme.loaded")), 2)
                    equal(each.records("acme.failed"), [])

    return case


def order_of(folder, name):
    """The URL of the order that is kept for a name."""
    try:
        return json.loads((folder / f".alos-certs/order/{name}.ecdsa-p256.json").read_text())["url"]
    except FileNotFoundError:
        return None


def check_folder(folder):
    """Every document can be read, and what is current is whole."""
    top = folder / ".alos-certs"
    for path in [*top.rglob("*.json"), *top.glob("*/*.key")]:
        inside = path.relative_to(top).parts[0]
        text = path.read_text()
        if inside == "challenge":
            holds(re.fullmatch(r"[\w-]+\.[\w-]+\n\d+\n\d+\n", text), f"{path}: {text!r}")
        elif ".key" in path.name:
            holds(re.fullmatch(r"-----BEGIN PRIVATE KEY-----\n[\w+/=\n]+-----END PRIVATE KEY-----\n", text), path)
        else:
            holds(isinstance(json.loads(text), dict), path)
    for current in top.glob("certs/*/current"):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(current / "fullchain.pem", current / "privkey.pem")  # raises if they do not fit
        holds(json.loads((current / "meta.json").read_text())["names"], current)
    equal([str(path) for path in top.rglob("*.broken-*")], [])


def killed():
    """Twenty times, each at a random moment of an issuance, which are those of name after name; oftener while no order
    was under way at any of them."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    folder, kills, resumed, usual = new_folder(), 0, 0, 0.5

    def is_enough():
        return kills >= 20 and resumed > 0

    with Pebble() as ca:
        def spoilt():
            return ca.log().count("set INVALID")

        for number in range(100):
            name = f"n{number}.test"
            spoilt_before = {}  # by the URL of an order: how often the CA had looked in vain before it was placed
            is_done = False
            while not is_done:
                kept, orders, failures, begin = order_of(folder, name), ca.orders(), spoilt(), time.monotonic()
                server = Program(program, ca, name, folder=folder)
                moment = begin + dice.uniform(0.02, 1.2 * usual)
                while time.monotonic() < moment and not is_done:
                    is_done = bool(server.records("acme.obtained"))
                server.process.kill()
                server.process.wait(5)
                check_folder(folder)
                equal([server.records("acme.unreadable"), server.records("acme.failed")], [[], []])
                spoilt_before.setdefault(order_of(folder, name), failures)
                resumed += "going on with order" in server.log()
                # One that was kept is gone on with, unless the CA looked while nobody was there to answer.
                holds(not kept or ca.orders() == orders or spoilt() > spoilt_before[kept],
                      f"{kept} was not gone on with:\n{server.log()}")
                # As long as a whole issuance takes here and now.
                usual = time.monotonic() - begin if is_done and not kept else usual * 1.05
                kills += 1
                is_done = is_done or is_enough()
            with Program(program, ca, name, folder=folder) as server:
                server.wait_for_certificate(name)
            equal([each.name for each in folder.glob(f".alos-certs/certs/{name}.*/0*")], ["000001"])
            if is_enough():
                break
    holds(is_enough(), "no order was under way at any of those moments")


def order_left_behind():
    """By a process that was killed when its certificate was stored, and the order not yet forgotten: a renewal that is
    asked for gives another certificate, and not the same one again."""
    with Pebble() as ca, Proxy(ca) as proxy:
        proxy.refuse("/finalize-order/", 503, "not now", content_type="text/plain")
        with Program(program, ca, "a.test", directory=proxy.directory) as server:
            wait_until(server.log, lambda: server.records("acme.failed"))
            left = {path: path.read_bytes() for path in server.folder.glob(".alos-certs/order/*")}
            equal(len(left), 2)
            proxy.relent()
            equal(server.ask("a.test", "/renew/a.test", "POST", ssl._create_unverified_context()), (200, "renewed\n"))
            first = server.wait_for_certificate("a.test")
        for path, text in left.items():
            path.write_bytes(text)
        with Program(program, ca, "a.test", directory=proxy.directory, folder=server.folder) as again:
            equal(again.ask("a.test", "/renew/a.test", "POST"), (200, "renewed\n"))
            holds(again.certificate("a.test")["serialNumber"] != first["serialNumber"], again.log())
            equal(ca.orders(), 2)


# The order of the present certificate is gone on with as if it were the next one's.
run_together([
    ("two processes by http-01, on the same ports", racing("http-01", True)),
    ("two processes by tls-alpn-01, on the same ports", racing("tls-alpn-01", True)),
    ("two processes by http-01, on other ports", racing("http-01", False)),
    ("two processes by tls-alpn-01, on other ports", racing("tls-alpn-01", False)),
    ("killed at random moments", killed),
    ("an order that was left behind", order_left_behind),
], seconds=80)
