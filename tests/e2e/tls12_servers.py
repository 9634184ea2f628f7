#!/usr/bin/env python3
"""The client that asks CAs, against servers that speak TLS 1.2 only (openssl s_server): what it accepts, and that each
refusal has its own code, names the server, and says what to do."""

import contextlib
import pathlib
import subprocess
import tempfile

from harness import contains, equal, holds, need, run, scratch
from pebble import free_port

fetch, _ = need("fetch"), need("openssl")

folder = pathlib.Path(tempfile.mkdtemp(dir=scratch))
page = "an answer by TLS 1.2\n"
(folder / "page").write_text(page)


def openssl(*words):
    subprocess.run(["openssl", *map(str, words)], cwd=folder, check=True, capture_output=True)


def make_authority(name, common_name):
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key",
            "-out", f"{name}.pem", "-days", "30", "-subj", f"/CN={common_name}")


def make_certificate(name, *key, days=10, names="DNS:localhost,IP:127.0.0.1", usage="serverAuth"):
    (folder / "extensions").write_text(f"subjectAltName={names}\nextendedKeyUsage={usage}\n")
    openssl("req", "-new", "-newkey", *key, "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr",
            "-subj", f"/CN={name}")
    openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ours.pem", "-CAkey", "ours.key", "-CAcreateserial",
            "-out", f"{name}.pem", "-extfile", "extensions", "-days", days)


ec, rsa = ("ec", "-pkeyopt", "ec_paramgen_curve:P-256"), ("rsa:2048",)
make_authority("ours", "our authority")
make_authority("theirs", "their authority")
make_certificate("ecdsa", *ec)
make_certificate("rsa", *rsa)
make_certificate("old", *ec, days=-1)
make_certificate("other", *ec, names="DNS:other.test")
make_certificate("client", *ec, usage="clientAuth")


@contextlib.contextmanager
def server(certificate, *flags):
    """The port of one; the flags say what it speaks."""
    port = free_port()
    process = subprocess.Popen(["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", f"{certificate}.pem",
                                "-key", f"{certificate}.key", "-WWW", *(flags or ["-tls1_2"])], cwd=folder,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        while "ACCEPT" not in (line := process.stdout.readline()):
            holds(line, "it ended")
        yield port
    finally:
        process.kill()
        process.wait(10)
        process.stdout.close()


def fetched(port, host="localhost", authority="ours"):
    """(exit status, what was said)"""
    done = subprocess.run([fetch, f"https://{host}:{port}/page", folder / f"{authority}.pem"], capture_output=True,
                          text=True, timeout=15, env={"PATH": "/usr/bin:/bin"})
    return done.returncode, done.stdout + done.stderr


def answered(certificate, *flags, host="localhost"):
    def case():
        with server(certificate, *flags) as port:
            for _ in range(2):
                equal(fetched(port, host), (0, page))

    return case


def refused(certificate, *wanted, flags=(), authority="ours", host="localhost"):
    def case():
        with server(certificate, *flags) as port:
            status, said = fetched(port, host, authority)
            equal(status, 1)
            contains(said, f"https://{host}:{port} (127.0.0.1:{port}): handshake: ", *wanted)

    return case


run([
    ("ECDSA", answered("ecdsa")),
    ("RSA", answered("rsa")),
    ("an address", answered("ecdsa", host="127.0.0.1")),
    ("AES-256 with RSA", answered("rsa", "-tls1_2", "-cipher", "ECDHE-RSA-AES256-GCM-SHA384")),
    ("ChaCha20 with ECDSA", answered("ecdsa", "-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305")),
    ("P-384 only", answered("ecdsa", "-tls1_2", "-groups", "P-384")),
    ("both versions", answered("rsa", "-no_ssl3")),
    ("another name", refused("other", "alos.tls_client ", "is for another name", "it is for other.test",
                             "check the URL")),
    ("another address", refused("other", "is for another name", host="127.0.0.1")),
    ("an unknown authority", refused("ecdsa", "alos.tls_client ", "no trusted authority", "our authority",
                                     "give its authority's certificate as a root", authority="theirs")),
    ("an unknown authority, RSA", refused("rsa", "no trusted authority", authority="theirs")),
    ("expired", refused("old", "alos.tls_client ", "has expired", "check this machine's clock")),
    ("a client's certificate", refused("client", "alos.tls_client ", "is not acceptable", "certificate replaced")),
    ("CBC only", refused("rsa", "TLS 1.2", flags=("-tls1_2", "-cipher", "ECDHE-RSA-AES128-SHA"))),
    ("no forward secrecy", refused("rsa", "TLS 1.2", flags=("-tls1_2", "-cipher", "AES128-GCM-SHA256"))),
    ("TLS 1.1 only", refused("rsa", "TLS 1.2", flags=("-tls1_1", "-cipher", "ALL:@SECLEVEL=0"))),
])
