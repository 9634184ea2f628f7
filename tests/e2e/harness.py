"""What the scripts beside it share: each is called with the build folder and the source folder."""

import atexit
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

build_root, source_root = map(pathlib.Path, sys.argv[1:3])
sys.path.insert(0, str(source_root / "tests" / "support"))
from cases import Skip, equal, holds, run, run_together  # noqa: E402, F401

tools = build_root / "tests" / "tools"
pem = source_root / "tests" / "vectors" / "pem"
scratch = pathlib.Path(tempfile.mkdtemp(prefix="alos-e2e-"))
atexit.register(shutil.rmtree, scratch, ignore_errors=True)

root = pem / "root.crt"
host = "www.example.com"  # the certificates' name
suites = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
keys = ("p256", "p384", "rsa", "pss", "ed25519")

page = "alos speaks TLS 1.3\n"
request = f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
ten_mib = 10 * 1024 * 1024


def letters(size):
    """What the server sends for /bytes/size."""
    return (b"abcdefghijklmnopqrstuvwxyz" * (size // 26 + 1))[:size]


def need(program):
    """The path of a program, without which the script is skipped."""
    for path in (tools / program, build_root / "examples" / program, shutil.which(program)):
        if path and pathlib.Path(path).exists():
            return path
    print(f"there is no {program} here")
    sys.exit(77)


def certificate(name):
    """A file with the certificate and its intermediate one."""
    path = scratch / f"{name}.crt"
    if not path.exists():
        path.write_text((pem / f"{name}.crt").read_text() + (pem / "intermediate.crt").read_text())
    return path


class Server:
    """A tls_server while the context lasts."""

    def __init__(self, *flags, keys=("p256",)):
        files = [word for key in keys for word in ("--cert", certificate(key), "--key", pem / f"{key}.key")]
        self.process = subprocess.Popen([tools / "tls_server", *files, *flags], stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline().split()[-1])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.stdout.close()
        equal(self.process.wait(10), 0)


class Example:
    """One of the examples, in a folder of its own, while the context lasts."""

    def __init__(self, name, *arguments):
        folder = pathlib.Path(tempfile.mkdtemp(dir=scratch))
        with open(folder / "log", "w") as log:
            self.process = subprocess.Popen([need(name), *arguments, "127.0.0.1:0"], cwd=folder, stderr=log)
        while not (found := re.search(r"https=\S*:(\d+) .*server\.threads", (folder / "log").read_text(), re.DOTALL)):
            holds(self.process.poll() is None, (folder / "log").read_text())
            time.sleep(0.02)
        self.port = int(found[1])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        equal(self.process.wait(10), 0)


def say(*words, given="", status=0, seconds=15):
    """Runs a client; what it said, on both streams."""
    done = subprocess.run([str(word) for word in words], input=given.encode(), timeout=seconds,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    said = done.stdout.decode(errors="replace")
    if status is not None and done.returncode != status:
        raise AssertionError(f"exit status {done.returncode} of {' '.join(map(str, words))}\n{said}")
    return said


def contains(said, *wanted):
    for text in wanted:
        holds(text in said, f"no {text!r} in:\n{said}")
