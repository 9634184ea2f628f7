#!/usr/bin/env python3
"""What is no TLS 1.3 at all: tls_server answers with the right alert, or none, without a reset, and goes on."""

import random
import socket
import ssl

from harness import Server, contains, equal, host, page, request, root, run


def reply(server, sent):
    """All that is answered; a reset raises."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=15) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(4096), b""))


def hello(**settings):
    """Python's ClientHello, as a record."""
    outgoing, context = ssl.MemoryBIO(), ssl.create_default_context()
    for name, value in settings.items():
        setattr(context, name, value)
    try:
        context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=host).do_handshake()
    except ssl.SSLWantReadError:
        return outgoing.read()


def alert(number):
    return bytes([21, 3, 3, 0, 2, 2, number])


def record(content_type, hexadecimal):
    content = bytes.fromhex(hexadecimal)
    return bytes([content_type, 3, 1]) + len(content).to_bytes(2, "big") + content


unexpected_message, record_overflow, decode_error, protocol_version = map(alert, (10, 22, 50, 70))
ordinary = hello()
inputs = {
    "nothing": (b"", bytes.fromhex("15030300020100")),  # close_notify
    "plain HTTP": (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b""),
    "a proxy's CONNECT": (b"CONNECT localhost:443 HTTP/1.1\r\n\r\n", b""),
    "text": (b"EHLO localhost\r\n", protocol_version),
    "1 MiB of text": (b"?" * (1 << 20), protocol_version),
    "SSL 2.0": (bytes.fromhex("802e0100020015000000100100800200800300800400800500800600400700c0") + bytes(16),
                protocol_version),
    "SSL 3.0": (record(22, "01 000029 0300" + "42" * 32 + "00 0002 000a 01 00"), protocol_version),
    "TLS 1.2": (hello(maximum_version=ssl.TLSVersion.TLSv1_2), protocol_version),
    "an oversized record": (bytes.fromhex("1603014001") + bytes(0x4001), record_overflow),
    "an empty handshake record": (record(22, ""), unexpected_message),
    "an unknown content type": (record(99, "00"), unexpected_message),
    "application data": (record(23, "00"), unexpected_message),
    "a ServerHello": (record(22, "02 000000"), unexpected_message),
    "an empty ClientHello": (record(22, "01 000000"), decode_error),
    "a ClientHello behind a ClientHello": (ordinary[:3] + (2 * (len(ordinary) - 5)).to_bytes(2, "big")
                                           + 2 * ordinary[5:], unexpected_message),
    "an alert": (record(21, "02 28"), b""),
    "an alert of level 3": (record(21, "03 28"), alert(47)),
    "half an alert": (record(21, "02"), decode_error),
}


def takes(sent, wanted):
    def case():
        equal(reply(shared, sent).hex(), wanted.hex())
    return case


def bears_pieces_of_a_hello():
    for size in range(len(ordinary)):
        reply(shared, ordinary[:size])


def bears_noise():
    noise = random.Random(8446)
    for _ in range(300):
        reply(shared, noise.choice((b"", ordinary[:5], b"\x17\x03\x03")) + noise.randbytes(noise.randrange(2000)))


def bears_changed_hellos():
    """Alerts or answers, but no reset, whatever bit is wrong."""
    for at in range(len(ordinary)):
        changed = bytearray(ordinary)
        changed[at] ^= 1 << (at % 8)
        reply(shared, bytes(changed))


def still_serves():
    tls = ssl.create_default_context(cafile=root)
    with tls.wrap_socket(socket.create_connection(("127.0.0.1", shared.port), 15), server_hostname=host) as client:
        client.sendall(request.encode())
        contains(b"".join(iter(lambda: client.recv(4096), b"")).decode(), page)


with Server() as shared:
    run([
        *((name, takes(*pair)) for name, pair in inputs.items()),
        ("a ClientHello cut off anywhere", bears_pieces_of_a_hello), ("noise", bears_noise),
        ("a ClientHello with a wrong bit", bears_changed_hellos), ("it still serves", still_serves),
    ], seconds=60)
