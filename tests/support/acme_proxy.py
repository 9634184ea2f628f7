"""Stands before a Pebble: counts what is asked of it, and says itself what Pebble never would."""

import contextlib
import http.client
import http.server
import json
import ssl
import threading
import urllib.parse

from pebble import free_port


class Proxy:
    """At an address of its own while the context lasts, as Pebble names URLs by the Host that it was asked for.
    `requests` has "method path" of each, in their order."""

    def __init__(self, ca):
        self.requests, self.refusals = [], []
        self.held, self.is_released = None, threading.Event()
        self.roots_file = ca.roots_file
        self.behind = urllib.parse.urlsplit(ca.directory).netloc
        self.trust = ssl.create_default_context(cafile=ca.roots_file)
        port = free_port()
        self.directory = f"https://127.0.0.1:{port}/dir"
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                with contextlib.suppress(OSError):  # a client may go
                    proxy.answer(self)

            do_GET = do_HEAD = do_POST = answer

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        own.load_cert_chain(ca.folder / "dir.pem", ca.folder / "dir.key")
        self.server.socket = own.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.is_released.set()
        self.server.shutdown()
        self.server.server_close()

    def refuse(self, path, status, body, headers=None, content_type="application/problem+json"):
        """From now on, what begins with that path. A body that is no text is written as JSON."""
        text = body if isinstance(body, str) else json.dumps(body)
        self.refusals.append((path, status, {"Content-Type": content_type, **(headers or {})}, text.encode()))

    def hold(self, path):
        """From now on what begins with that path is not answered, and Pebble never hears of it."""
        self.held = path

    def relent(self):
        """Lets everything pass from now on."""
        self.refusals, self.held = [], None

    def answer(self, request):
        self.requests.append(f"{request.command} {request.path}")
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        if self.held and request.path.startswith(self.held):
            request.close_connection = True
            self.is_released.wait()
            return
        status, headers, text = self.refusal_of(request.path) or self.ask_behind(request, body)
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(text)))
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(text)

    def refusal_of(self, path):
        return next((answer for begin, *answer in self.refusals if path.startswith(begin)), None)

    def ask_behind(self, request, body):
        connection = http.client.HTTPSConnection(self.behind, timeout=10, context=self.trust)
        with contextlib.closing(connection):
            passed = {name: value for name, value in request.headers.items() if name.lower() != "connection"}
            connection.request(request.command, request.path, body or None, passed)
            answer = connection.getresponse()
            text = answer.read()
            hop_by_hop = ("connection", "content-length", "transfer-encoding")
            headers = {name: value for name, value in answer.getheaders() if name.lower() not in hop_by_hop}
            return answer.status, headers, text
