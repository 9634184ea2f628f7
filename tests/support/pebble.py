"""Pebble, the ACME CA for tests, with challtestsrv as its DNS, where every name leads to 127.0.0.1; and programs that
get their certificates from it. All of them end with the script, however that ends."""

import atexit
import contextlib
import ctypes
import http.client
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import zlib

PR_SET_PDEATHSIG = 1
libc = ctypes.CDLL(None)


# Where tools/setup.sh unpacks a Pebble that is newer than the system's.
unpacked = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "alos/pebble/usr/bin"


def find(program, newer=False):
    """The system's, or the unpacked one where that is wanted or the only one; None where there is none."""
    own = unpacked / program if (unpacked / program).exists() else None
    return own or shutil.which(program) if newer else shutil.which(program) or own


def need_pebble(newer=False):
    """Skips the script where there is no Pebble, or none of version 2.10 or later: with ARI and profiles."""
    for program in ("pebble", "pebble-challtestsrv", "openssl"):
        if not find(program, newer):
            print(f"skipped: there is no {program} here; tools/setup.sh test brings it where the system has it")
            sys.exit(77)
    if newer:
        with Pebble(newer=True) as ca:
            offered = json.loads(ca.fetch(ca.directory))
        if "renewalInfo" not in offered or "profiles" not in offered["meta"]:
            print("skipped: this Pebble is older than 2.10; tools/setup.sh test unpacks a newer one on Debian")
            sys.exit(77)


def start(words, folder, log_file, sockets=(), **environment):
    """Runs a program in that folder, which is killed when this process is gone."""
    with open(log_file, "wb") as log:
        return subprocess.Popen([str(word) for word in words], cwd=folder, env={**os.environ, **environment},
                                stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=sockets,
                                preexec_fn=lambda: libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL))


def wait_until(what, question, seconds=20, pause=0.02):
    """The first true answer to the question."""
    end = time.monotonic() + seconds
    while not (answer := question()):
        if time.monotonic() > end:
            raise TimeoutError(f"not within {seconds} s: {what() if callable(what) else what}")
        time.sleep(pause)
    return answer


scratch = pathlib.Path(tempfile.mkdtemp(prefix="alos-pebble-"))
atexit.register(shutil.rmtree, scratch, ignore_errors=True)


def new_folder():
    """An empty one that goes with the script."""
    return pathlib.Path(tempfile.mkdtemp(dir=scratch))


def free_port():
    """A port of 127.0.0.1 that nobody has, by TCP and UDP, and that no outgoing connection is given; each only once,
    whichever case of the script asks. Scripts that run at the same time have ranges of their own."""
    first = 10000 + zlib.crc32(pathlib.Path(sys.argv[0]).name.encode()) % 88 * 250
    while True:
        port = random.randrange(first, first + 250)
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            with contextlib.suppress(OSError):
                tcp.bind(("127.0.0.1", port))
                udp.bind(("127.0.0.1", port))
                (scratch / f"port-{port}").touch(exist_ok=False)
                return port


def make_directory_certificate(folder):
    """roots.pem, and with it dir.pem and dir.key for https://localhost."""
    def openssl(*words):
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    for name in ("roots", "dir"):
        openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", f"{name}.key")
    openssl("req", "-x509", "-new", "-key", "roots.key", "-days", "30", "-subj", "/CN=root of the directory",
            "-out", "roots.pem")
    openssl("req", "-new", "-key", "dir.key", "-subj", "/CN=localhost", "-out", "dir.csr")
    (folder / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    openssl("x509", "-req", "-in", "dir.csr", "-CA", "roots.pem", "-CAkey", "roots.key", "-CAcreateserial",
            "-days", "30", "-extfile", "names", "-out", "dir.pem")


def listen_with_others(port):
    """A socket that listens there, where others like it may listen, too."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.bind(("127.0.0.1", port))
    made.listen(64)
    return made


class Pebble:
    """Both programs while the context lasts, or until stop().

    nonce_reject and reuse are percentages; eab is {key id: key in base64url}, without which no account is made;
    validity is in seconds, and so is hesitation, the longest time before an answer to a challenge is looked at;
    profiles is {name: validity}; blocked are domains that it certifies for nobody; newer is a wish for version 2.10 or
    later, see need_pebble(). With `beside`, another Pebble, it looks for answers where that one does."""

    def __init__(self, nonce_reject=0, reuse=0, chain_length=1, alternate_roots=0, eab=None, validity=None,
                 hesitation=0, profiles=None, blocked=(), beside=None, newer=False):
        self.folder = new_folder()
        self.http_port = beside.http_port if beside else free_port()
        self.tls_port = beside.tls_port if beside else free_port()
        listens, manages, names, commands = (f"127.0.0.1:{free_port()}" for _ in range(4))
        self.directory = f"https://{listens}/dir"
        self.management = f"https://{manages}"
        self.resolver, self.commands = names, f"http://{commands}"
        self.roots_file = self.folder / "roots.pem"
        make_directory_certificate(self.folder)
        settings = {
            "listenAddress": listens, "managementListenAddress": manages,
            "certificate": "dir.pem", "privateKey": "dir.key",
            "httpPort": self.http_port, "tlsPort": self.tls_port, "ocspResponderURL": "",
            "externalAccountBindingRequired": bool(eab), "externalAccountMACKeys": eab or {},
            "domainBlocklist": list(blocked),
        }
        if validity:  # as the versions before profiles have it, and those after
            settings["certificateValidityPeriod"] = validity
            profiles = profiles or {"default": validity}
        if profiles:
            settings["profiles"] = {name: {"description": f"{seconds} s, for tests", "validityPeriod": seconds}
                                    for name, seconds in profiles.items()}
        settings["retryAfter"] = {"authz": 1, "order": 1}
        (self.folder / "config.json").write_text(json.dumps({"pebble": settings}))
        server, dns = find("pebble", newer), find("pebble-challtestsrv", newer)
        known = subprocess.run([dns, "-h"], capture_output=True, text=True).stderr
        dns_options = ["-dns01" if "-dns01" in known else "-dnsserver", names]
        dns_options += ["-doh", ""] if "-doh" in known else []
        self.words = [
            [dns, "-http01", "", "-https01", "", "-tlsalpn01", "", "-management", commands,
             *dns_options, "-defaultIPv4", "127.0.0.1", "-defaultIPv6", ""],
            [server, "-strict", "-config", "config.json", "-dnsserver", names]]
        self.environment = {
            "PEBBLE_WFE_NONCEREJECT": str(nonce_reject), "PEBBLE_AUTHZREUSE": str(reuse),
            "PEBBLE_CHAIN_LENGTH": str(chain_length), "PEBBLE_ALTERNATE_ROOTS": str(alternate_roots)}
        self.environment |= {"PEBBLE_VA_SLEEPTIME": str(hesitation)} if hesitation else {"PEBBLE_VA_NOSLEEP": "1"}
        self.alternate_roots = alternate_roots
        self.start()

    def start(self):
        """Also after stop(): at the same address, but it has forgotten everything, and has other roots."""
        self.processes = [start(words, self.folder, self.folder / f"{pathlib.Path(words[0]).name}.log",
                                **self.environment) for words in self.words]
        wait_until(self.log, self.is_up, 60)  # it makes keys first
        # Kept, for who looks at certificates when there is no CA any more. All but the first are of alternate chains.
        self.roots = [self.fetch(f"{self.management}/roots/{i}") for i in range(self.alternate_roots + 1)]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def log(self):
        return (self.folder / "pebble.log").read_text()

    def is_up(self):
        for process in self.processes:
            if process.poll() is not None:
                raise RuntimeError(f"{process.args[0]} ended: {self.log()}")
        try:
            return self.fetch(self.directory)
        except OSError:
            return None

    def fetch(self, url, body=None):
        """What is there; with a body, what a POST of it is answered."""
        context = ssl.create_default_context(cafile=self.roots_file)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}),
                                             urllib.request.HTTPSHandler(context=context))
        with opener.open(url, body and json.dumps(body).encode(), timeout=5) as answer:
            return answer.read().decode()

    def set_renewal_info(self, certificate, answer):
        """What is said from now on to who asks when to renew a certificate, in PEM (RFC 9773 4.1)."""
        self.fetch(f"{self.management}/set-renewal-info/", {"Certificate": certificate, "ARIResponse": answer})

    def requests(self):
        """How many there were, from whomever; those of fetch(directory), too."""
        return len(re.findall(r" (?:GET|HEAD|POST) /\S* -> calling handler", self.log()))

    def accounts(self):
        """How many were made."""
        return len(re.findall(r"There are now \d+ accounts in memory", self.log()))

    def orders(self):
        """How many orders there were."""
        return self.log().count("Added order ")

    def pause(self):
        """From now on connections are accepted, and never answered."""
        self.processes[-1].send_signal(signal.SIGSTOP)

    def stop(self):
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait(10)
        self.processes = []


class Program:
    """examples/acme.cpp, or what has its settings, while the context lasts. It listens where Pebble looks for answers,
    or elsewhere. Programs that are to share a storage are given one folder; those that share ports, too, get sockets as
    from a service manager (sd_listen_fds(3)), among which the kernel chooses."""

    def __init__(self, program, pebble, *domains, folder=None, http_port=None, tls_port=None, shares_ports=False,
                 **settings):
        self.http_port, self.tls_port = http_port or pebble.http_port, tls_port or pebble.tls_port
        self.folder = folder or new_folder()
        self.log_file = new_folder() / "log"
        self.context = ssl.create_default_context(cadata=pebble.roots[0])
        settings = {
            "addr": f"127.0.0.1:{self.tls_port}", "http_addr": f"127.0.0.1:{self.http_port}",
            "directory": pebble.directory, "roots_file": pebble.roots_file, "resolver": pebble.resolver,
            "http01_port": pebble.http_port, "tls_alpn01_port": pebble.tls_port,
            "log": "debug", "control": "on", **settings}
        words = [f"{name}={value}" for name, value in settings.items() if value is not None]
        with contextlib.ExitStack() as sockets:
            shared = [sockets.enter_context(listen_with_others(port)).fileno()
                      for port in (self.tls_port, self.http_port)] if shares_ports else []
            begin = ["bash", "-c", f'LISTEN_PID=$$ exec "$@" 3<&{shared[0]} 4<&{shared[1]}', "-"] if shared else []
            named = {"LISTEN_FDS": "2", "LISTEN_FDNAMES": "https:http"} if shared else {}
            self.process = start([*begin, program, *words, *domains], self.folder, self.log_file, shared, **named)

    def __enter__(self):
        self.wait_until_up()
        return self

    def __exit__(self, *_):
        was_killed = self.process.poll() == -signal.SIGKILL
        if self.stop() != 0 and not was_killed:
            raise RuntimeError(f"ended with {self.process.returncode}: {self.log()}")

    def wait_until_up(self):
        wait_until(self.log, lambda: self.process.poll() is not None or "server.threads" in self.log())
        if self.process.poll() is not None:
            raise RuntimeError(self.log())

    def log(self):
        """Without the clients that did not like its certificate."""
        return "".join(line for line in self.log_file.read_text().splitlines(True) if " tls.handshake " not in line)

    def records(self, event):
        """Those of that name in the log, as dictionaries; `level` and `time` are among their fields."""
        found = []
        for line in self.log().splitlines():
            when, level, name, *rest = line.split(None, 3)
            if name == event:
                fields = re.findall(r'(\w+)=("(?:[^"\\]|\\.)*"|\S*)', rest[0] if rest else "")
                found.append({"time": when, "level": level} | {
                    key: json.loads(value) if value.startswith('"') else value for key, value in fields})
        return found

    def connect(self, name, context=None):
        """An http.client connection by TLS, to that name."""
        connection = http.client.HTTPConnection("127.0.0.1", self.tls_port, timeout=10)
        connection.connect()
        connection.sock = (context or self.context).wrap_socket(connection.sock, server_hostname=name)
        return connection

    def certificate(self, name, context=None):
        """What is shown for the name, as ssl has it; None if it is not from Pebble."""
        try:
            with contextlib.closing(self.connect(name, context)) as connection:
                return connection.sock.getpeercert()
        except ssl.SSLCertVerificationError:
            return None

    def wait_for_certificate(self, name, seconds=20):
        return wait_until(self.log, lambda: self.certificate(name), seconds, 0.1)

    def ask(self, name, path="/", method="GET", context=None):
        """(status, body), on a connection of its own."""
        with contextlib.closing(self.connect(name, context)) as connection:
            connection.request(method, path, headers={"Host": name})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def stop(self, seconds=5):
        """Asks it to end, which it must within that time; returns its exit status."""
        self.process.terminate()
        return self.process.wait(seconds)


class Load:
    """Clients that ask for a page of a name without pause, on new connections and on one that stays, while the context
    lasts. `errors` has what went wrong, `serials` the certificates seen, in their order."""

    def __init__(self, program, name, clients=2):
        self.program, self.name = program, name
        self.errors, self.serials, self.requests = [], [], 0
        self.is_over, self.lock = False, threading.Lock()
        self.threads = [threading.Thread(target=self.run, args=(i == 0,)) for i in range(clients + 1)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.is_over = True
        for thread in self.threads:
            thread.join()

    def run(self, stays):
        connection = None
        while not self.is_over:
            try:
                connection = connection or self.program.connect(self.name)
                serial = connection.sock.getpeercert()["serialNumber"]
                connection.request("GET", "/", headers={"Host": self.name})
                answer = connection.getresponse()
                body = answer.read().decode()
                if answer.status != 200 or body != f"Hello from {self.name}\n":
                    self.errors.append(f"status {answer.status}: {body}")
                with self.lock:
                    self.requests += 1
                    if not stays and serial not in self.serials:
                        self.serials.append(serial)
            except Exception as error:  # whatever it is, it is not to be
                self.errors.append(repr(error))
                connection = None
            if connection and not stays:
                connection.close()
                connection = None
            time.sleep(0.01)
        if connection:
            connection.close()
