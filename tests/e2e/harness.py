"""What the scripts beside it share: each is called with the build folder and the source folder."""

import atexit
import pathlib
import shutil
import subprocess
import sys
import tempfile

build_root, source_root = map(pathlib.Path, sys.argv[1:3])
sys.path.insert(0, str(source_root / "tests" / "support"))
from cases import equal, holds, run  # noqa: E402, F401

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
    """The path of a client, without which the script is skipped."""
    path = shutil.which(program) or (tools / program if (tools / program).exists() else None)
    if not path:
        print(f"there is no {program} here")
        sys.exit(77)
    return path


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
        status = self.process.wait(10)
        self.process.stdout.close()
        equal(status, 0)


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
