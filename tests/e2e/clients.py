#!/usr/bin/env python3
"""Real clients against the HTTP server, as the examples have it."""

import hashlib
import http.client
import shutil
import ssl
import tempfile

from harness import Example, Skip, contains, equal, letters, need, run, say, scratch, ten_mib

for example in ("hello", "serve"):
    need(example)

greeting = "Secure!"
request = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def client(name, *arguments, given="", answer=greeting):
    """A case in which a client prints the page of hello; PORT stands for its port."""
    def case():
        if not shutil.which(name):
            raise Skip(f"there is no {name} here")
        with Example("hello") as server, tempfile.TemporaryDirectory(dir=scratch) as profile:
            words = [word.replace("PORT", str(server.port)).replace("PROFILE", profile) for word in arguments]
            contains(say(name, *words, given=given, seconds=40), answer)
    return name, case


def keeps_the_connection():
    with Example("hello") as server:
        connection = http.client.HTTPSConnection("localhost", server.port, context=ssl._create_unverified_context())
        for _ in range(100):
            connection.request("GET", "/")
            equal(connection.getresponse().read().decode(), greeting)
        connection.close()


def loads_a_file():
    """Whole, and in two parts."""
    folder = tempfile.mkdtemp(dir=scratch)
    digest = hashlib.sha256(letters(ten_mib)).digest()
    with open(f"{folder}/large", "wb") as file:
        file.write(letters(ten_mib))
    with Example("serve", folder) as server:
        connection = http.client.HTTPSConnection("localhost", server.port, context=ssl._create_unverified_context())
        for ranges in ([None], ["bytes=0-99999", "bytes=100000-"]):
            found = hashlib.sha256()
            for part in ranges:
                connection.request("GET", "/large", headers={"Range": part} if part else {})
                found.update(connection.getresponse().read())
            equal(found.digest(), digest)
        connection.close()


def is_told_of_wrong_versions():
    tls = ssl._create_unverified_context()
    tls.maximum_version = ssl.TLSVersion.TLSv1_2
    with Example("hello") as server:
        try:
            http.client.HTTPSConnection("localhost", server.port, context=tls).connect()
            raise AssertionError("TLS 1.2 was agreed on")
        except ssl.SSLError as error:
            contains(str(error), "alert protocol version")


run([
    client("curl", "--disable", "--silent", "--noproxy", "*", "--insecure", "https://localhost:PORT/"),
    client("openssl", "s_client", "-ign_eof", "-connect", "127.0.0.1:PORT", given=request),
    client("gnutls-cli", "--insecure", "--port", "PORT", "127.0.0.1", given=request),
    client("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
           "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-proxy-server",
           "--user-data-dir=PROFILE", "--ignore-certificate-errors", "--dump-dom", "https://localhost:PORT/"),
    ("100 requests", keeps_the_connection), ("10 MiB", loads_a_file), ("TLS 1.2 only", is_told_of_wrong_versions),
], seconds=45)
