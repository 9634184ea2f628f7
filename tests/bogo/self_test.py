#!/usr/bin/env python3
"""Plays the conformance runner for the shim: self_test.py SHIM SOURCE_ROOT. The TLS client is Python's."""

import json
import pathlib
import re
import socket
import ssl
import subprocess
import sys

shim_path, source_root = sys.argv[1], pathlib.Path(sys.argv[2])
sys.path.insert(0, str(source_root / "tests" / "support"))
from cases import equal, holds, run  # noqa: E402

pem = source_root / "tests" / "vectors" / "pem"
shim_id = 0x1122334455667788
alerts = {"decode_error": 50, "protocol_version": 70}


def key(name):
    return ["-cert-file", pem / f"{name}.crt", "-key-file", pem / f"{name}.key"]


class Shim:
    """The shim as a server with an ECDSA key, if the flags say nothing else; its end is awaited by `ends`."""

    def __init__(self, *flags, certificate=key("p256"), ipv6=False):
        self.listener = socket.create_server(
            ("::1" if ipv6 else "127.0.0.1", 0), family=socket.AF_INET6 if ipv6 else socket.AF_INET)
        self.listener.settimeout(10)
        port = self.listener.getsockname()[1]
        words = ["-port", port, "-shim-id", shim_id, "-server", *certificate, *flags]
        self.process = subprocess.Popen([shim_path, *map(str, words)], stderr=subprocess.PIPE, text=True)

    def accept(self):
        connection, _ = self.listener.accept()
        connection.settimeout(10)
        equal(connection.recv(8, socket.MSG_WAITALL), shim_id.to_bytes(8, "little"))
        return connection

    def ends(self, status=0, text=""):
        said = self.process.communicate(timeout=4)[1]  # less than the shim would wait for a client to go
        self.listener.close()
        equal((self.process.returncode, said), (status, f"{text}\n--- DONE ---\n" if text else "--- DONE ---\n"))


class Client:
    """A TLS client that shows the records it is sent, and may send any bytes of its own."""

    def __init__(self, connection, alpn=(), verify=False, **settings):
        context = ssl.create_default_context() if verify else ssl._create_unverified_context()
        for name, value in settings.items():
            setattr(context, name, value)
        if alpn:
            context.set_alpn_protocols(alpn)
        self.connection, self.received = connection, b""
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="test")
        self.drive(self.tls.do_handshake)

    def drive(self, step, *arguments):
        while True:
            try:
                return step(*arguments)
            except ssl.SSLWantReadError:
                self.flush()
                more = self.connection.recv(65536)
                self.received += more
                self.incoming.write(more) if more else self.incoming.write_eof()
            finally:
                self.flush()

    def flush(self):
        if self.outgoing.pending:
            self.connection.sendall(self.outgoing.read())

    def send(self, data):
        self.drive(self.tls.write, data)

    def read(self, size):
        data = b""
        while len(data) < size:
            more = self.drive(self.tls.read, size - len(data))
            holds(more, f"the end came after {len(data)} bytes")
            data += more
        return data

    def echo(self, size=100):
        data = bytes(i * 7 & 0xFF for i in range(size))
        self.send(data)
        equal(self.read(size), bytes(b ^ 0xFF for b in data))

    def close(self):
        """Sends close_notify and awaits the server's."""
        self.drive(self.tls.unwrap)
        self.connection.close()

    def record_sizes(self):
        sizes, rest = [], self.received
        while rest:
            sizes.append(int.from_bytes(rest[3:5], "big"))
            rest = rest[5 + sizes[-1]:]
        return sizes


def exchange(*flags, **settings):
    """A shim that is to end well, and one client of it, after the echo."""
    shim = Shim(*flags)
    client = Client(shim.accept(), **settings)
    client.echo()
    client.close()
    shim.ends()
    return client


def refuses(*flags, text, **settings):
    """The handshake fails, or the shim finds something else than expected."""
    shim = Shim(*flags)
    try:
        client = Client(shim.accept(), **settings)
        client.close()
    except (ssl.SSLError, OSError):
        pass
    shim.ends(1, text)


def unimplemented(*flags):
    process = subprocess.run([shim_path, "-port", "1", "-shim-id", "1", *map(str, flags)],
                             capture_output=True, text=True, timeout=10)
    equal(process.returncode, 89)


def answers_alert(sent, text, alert):
    """Bytes instead of a handshake: the alert arrives, and no reset."""
    shim = Shim()
    connection = shim.accept()
    connection.sendall(sent)
    connection.shutdown(socket.SHUT_WR)
    received = b"".join(iter(lambda: connection.recv(4096), b""))
    equal(received.hex(), f"150303000202{alerts[alert]:02x}" if alert else "")
    shim.ends(1, text)


def client_hello():
    """What Python's client sends first, as a record."""
    outgoing = ssl.MemoryBIO()
    tls = ssl._create_unverified_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="test")
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        return outgoing.read()


def with_extension(record, extension):
    """The ClientHello with one extension more, and all lengths as they should be."""
    at = 5 + 4 + 2 + 32
    at += 1 + record[at]
    at += 2 + int.from_bytes(record[at:at + 2], "big")
    at += 1 + record[at]
    body = record[9:at] + (len(record) - at - 2 + len(extension)).to_bytes(2, "big") + record[at + 2:] + extension
    message = record[5:6] + len(body).to_bytes(3, "big") + body
    return record[:3] + len(message).to_bytes(2, "big") + message


# --- Cases -------------------------------------------------------------------------------------------------


def is_no_handshaker():
    said = subprocess.run([shim_path, "-is-handshaker-supported"], capture_output=True, text=True, timeout=10)
    equal((said.returncode, said.stdout), (0, "No\n"))


def speaks_ipv6():
    shim = Shim("-ipv6", ipv6=True)
    client = Client(shim.accept())
    client.echo()
    client.close()
    shim.ends()


def leaves_out_what_is_missing():
    unimplemented("-server", "-no-such-flag")
    unimplemented("-max-version", 772)
    unimplemented("-server", "-max-version", 771)
    unimplemented("-server", "-resume-count", 1)
    unimplemented("-server", "-require-any-client-certificate")
    unimplemented("-server", "-enable-early-data")
    unimplemented("-server", "-curves", 25)


def takes_every_key():
    for name in ("p256", "p384", "rsa", "pss", "ed25519"):
        shim = Shim(certificate=key(name))
        client = Client(shim.accept())
        client.echo()
        client.close()
        shim.ends()


def connects_again():
    shim = Shim("-resume-count", 1, "-expect-session-miss",
                "-on-initial-expect-server-name", "test", "-on-resume-select-alpn", "h2")
    for protocol in (None, "h2"):
        client = Client(shim.accept(), alpn=["h2"])
        equal(client.tls.selected_alpn_protocol(), protocol)
        client.echo()
        client.close()
    shim.ends()


def signs_with_preferences():
    exchange("-signing-prefs", 0x0403)
    refuses("-signing-prefs", 0x0804, text="no signature scheme in common with the certificates")


def selects_credentials():
    rsa = ["-new-x509-credential", *key("rsa")]
    exchange(*rsa, "-expect-selected-credential", 0)
    exchange("-new-x509-credential", *key("p384"), "-signing-prefs", 0x0804, *rsa, "-expect-selected-credential", 1)
    exchange(*rsa, "-signing-prefs", 0x0403, "-expect-selected-credential", -1)


def negotiates_alpn():
    equal(exchange("-select-alpn", "foo", alpn=["bar", "foo"]).tls.selected_alpn_protocol(), "foo")
    equal(exchange("-decline-alpn", alpn=["bar"]).tls.selected_alpn_protocol(), None)
    exchange("-expect-advertised-alpn", "\3foo\3bar", "-select-alpn", "bar", alpn=["foo", "bar"])
    refuses("-reject-alpn", alpn=["foo"], text="no application protocol in common")


def checks_expectations():
    exchange("-expect-server-name", "test", "-expect-version", 772, "-expect-no-hrr", "-curves", 29, "-expect-curve-id",
             29)
    refuses("-expect-server-name", "other", text="server name: test")
    refuses("-expect-hrr", text="there was no HelloRetryRequest")
    refuses("-curves", 29, "-expect-curve-id", 23, text="group: x25519")
    refuses("-handshake-never-done", text="the handshake was completed")


def retries():
    exchange("-curves", 23, "-expect-hrr", "-expect-curve-id", 23)
    refuses("-curves", 23, "-expect-no-hrr", text="there was a HelloRetryRequest")


def takes_ciphers():
    client = exchange("-cipher", "TLS_AES_128_GCM_SHA256", "-expect-cipher", 0x1301)
    equal(client.tls.cipher()[0], "TLS_AES_128_GCM_SHA256")


def signs_later():
    exchange("-async")
    exchange("-private-key-delay-ms", 50)
    exchange("-async", "-curves", 24, "-expect-hrr")


def writes_first():
    for flags in (["-shim-writes-first"], ["-read-with-unfinished-write", "-async"]):
        shim = Shim(*flags)
        client = Client(shim.accept())
        if flags == ["-shim-writes-first"]:
            equal(client.read(5), b"hello")
            client.echo()
        else:
            client.send(b"\0")
            equal(client.read(6), b"hello\xff")
        client.close()
        shim.ends()


def writes_different_sizes():
    sizes = (1, 255, 256, 257, 16383, 16384, 16385, 32767, 32768, 32769)
    shim = Shim("-write-different-record-sizes")
    client = Client(shim.accept())
    equal(client.read(sum(sizes)), b"\x42" * sum(sizes))
    client.close()
    shim.ends()


def updates_keys():
    shim = Shim("-key-update")
    client = Client(shim.accept())
    for _ in range(3):
        client.echo()
    client.close()
    shim.ends()


def limits_fragments():
    shim = Shim("-max-send-fragment", 512, "-read-size", 16384)
    client = Client(shim.accept())
    client.echo(5000)
    client.close()
    holds(max(client.record_sizes()) == 512 + 1 + 16, f"records of {client.record_sizes()}")
    shim.ends()


def shuts_down():
    shim = Shim("-shim-shuts-down", "-check-close-notify")
    client = Client(shim.accept())
    equal(client.drive(client.tls.read, 1), b"")  # its close_notify
    client.close()
    shim.ends()

    shim = Shim("-shim-shuts-down", "-check-close-notify")
    client = Client(shim.accept())
    equal(client.drive(client.tls.read, 1), b"")
    client.connection.close()
    shim.ends(1, "connection truncated: the peer closed without close_notify")

    shim = Shim("-shim-shuts-down", "-check-close-notify")
    client = Client(shim.accept())
    client.send(b"more")
    client.connection.shutdown(socket.SHUT_WR)
    shim.ends(1, "application data on shutdown")


def bears_ends_without_notice():
    shim = Shim()
    client = Client(shim.accept())
    client.echo()
    client.connection.close()
    shim.ends()


def reports_bad_records():
    shim = Shim()
    client = Client(shim.accept())
    client.connection.sendall(bytes.fromhex("1703030020") + bytes(32))
    try:
        client.read(1)
        raise AssertionError("no alert came")
    except ssl.SSLError as error:
        equal(error.reason, "SSLV3_ALERT_BAD_RECORD_MAC")
    client.connection.close()
    shim.ends(1, "record does not decrypt")


def reports_the_clients_alerts():
    shim = Shim()
    try:
        Client(shim.accept(), verify=True)
        raise AssertionError("the client trusts the certificate")
    except ssl.SSLError:
        pass
    shim.ends(1, "the peer sent the alert unknown_ca (48)")


def sends_alerts():
    answers_alert(b"?" * 16, "not a TLS record", "protocol_version")
    answers_alert(b"GET / HTTP/1.1\r\n\r\n", "plain HTTP on a TLS port", None)  # who speaks it reads no alert
    hello = client_hello()
    answers_alert(with_extension(hello, bytes.fromhex("000b00020100")), "extension appears twice", "decode_error")
    answers_alert(with_extension(hello, b"\0"), "handshake message malformed", "decode_error")


def refuses_tls12():
    shim = Shim()
    try:
        Client(shim.accept(), maximum_version=ssl.TLSVersion.TLSv1_2)
        raise AssertionError("TLS 1.2 was agreed on")
    except ssl.SSLError as error:
        equal(error.reason, "TLSV1_ALERT_PROTOCOL_VERSION")
    shim.ends(1, "client does not offer TLS 1.3")


def maps_every_error():
    """config.json knows each error's text, and no text that there is not."""
    header = (source_root / "include/alos/tls13/alert.hpp").read_text()
    texts = set(re.findall(r'return \{code, alert::\w+, "([^"]+)"\}', header)) - {"success"}
    texts |= {f"the peer sent the alert {name} ({number})"
              for name, number in re.findall(r"^    (\w+) = (\d+),", header, re.MULTILINE)}
    own = {"application data on shutdown", "connection truncated: the peer closed without close_notify",
           "the peer sent the alert unknown alert (30)"}
    config = json.loads((source_root / "tests/bogo/config.json").read_text())
    mapped = {text for one in config["ErrorMap"].values() for text in one}
    equal(mapped - texts - own, set())
    equal({text for text in texts - mapped if not text.startswith("the peer sent")}, set())


run([(case.__name__.replace("_", " "), case) for case in (
    is_no_handshaker, speaks_ipv6, leaves_out_what_is_missing, takes_every_key,
    connects_again, signs_with_preferences, selects_credentials, negotiates_alpn, checks_expectations, retries,
    takes_ciphers, signs_later, writes_first, writes_different_sizes, updates_keys, limits_fragments, shuts_down,
    bears_ends_without_notice, reports_bad_records, reports_the_clients_alerts, sends_alerts, refuses_tls12,
    maps_every_error)])
