#!/usr/bin/env python3
"""What automatic certificates cost, with whole programs of a release build: how long a hundred certificates from Pebble
take with 16 orders at once, and what a swap of certificates every second does to the time of handshakes.

    bench/issuance.py <folder with the examples>"""

import pathlib
import socket
import ssl
import subprocess
import sys
import threading
import time

here = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(here.parent / "tests" / "support"))

from pebble import Pebble, Program, free_port, need_pebble, wait_until  # noqa: E402

need_pebble()
examples = pathlib.Path(sys.argv[1]).resolve()


def issuance(count=100):
    names = [f"n{i}.test" for i in range(count)]
    with Pebble() as ca:
        begun = time.monotonic()
        with Program(examples / "acme", ca, *names, self_check="off") as server:
            wait_until(server.log, lambda: server.log().count("acme.obtained") == count, 60)
            taken = time.monotonic() - begun
    print(f"{count} certificates from Pebble: {taken:.2f} s")


def handshakes(port, seconds, times):
    context = ssl._create_unverified_context()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        begun = time.perf_counter()
        with socket.create_connection(("127.0.0.1", port)) as plain:
            with context.wrap_socket(plain, server_hostname="one.example"):
                times.append(time.perf_counter() - begun)


def ask(port, path, method):
    context = ssl._create_unverified_context()
    with socket.create_connection(("127.0.0.1", port)) as plain:
        with context.wrap_socket(plain, server_hostname="one.example") as stream:
            stream.sendall(f"{method} {path} HTTP/1.1\r\nHost: one.example\r\nContent-Length: 0\r\n"
                           "Connection: close\r\n\r\n".encode())
            while stream.recv(4096):
                pass


def swaps(rounds=6, seconds=5):
    """Rounds with swaps and rounds without by turns, so that both see the same machine."""
    port = free_port()
    server = subprocess.Popen([str(examples / "several_names"), f"127.0.0.1:{port}"], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: "no answer", lambda: not socket.socket().connect_ex(("127.0.0.1", port)))
        quiet, swapped = [], []
        for number in range(2 * rounds):
            is_over = threading.Event()

            def swap():
                while not is_over.wait(1):
                    ask(port, "/renew/one.example", "POST")

            worker = threading.Thread(target=swap)
            if number % 2:
                worker.start()
            handshakes(port, seconds, swapped if number % 2 else quiet)
            is_over.set()
            if number % 2:
                worker.join()
    finally:
        server.terminate()
        server.wait()
    p99 = [sorted(times)[len(times) * 99 // 100] * 1000 for times in (quiet, swapped)]
    print(f"p99 of a handshake: {p99[0]:.2f} ms, with a swap every second {p99[1]:.2f} ms, {p99[1] / p99[0]:.2f} times "
          f"({len(quiet)} and {len(swapped)} handshakes)")


issuance()
swaps()
