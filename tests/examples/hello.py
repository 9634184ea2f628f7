import os, signal, socket, ssl, subprocess, sys, time
from running import Running, same, PROGRAM

app = Running('127.0.0.1:0')
same(app.get('/'), 'Secure!')
same(app.get('/nowhere', '-o', '/dev/null', '-w', '%{http_code}'), '404')
kept = open(app.folder.name + '/.alos-cert.pem').read()
assert os.stat(app.folder.name + '/.alos-key.pem').st_mode & 0o777 == 0o600
same(app.curl(f'http://127.0.0.1:{app.port}/', '-w', '%{http_code}'),
     'This port speaks HTTPS only: write https:// in the address.\n400')

# A second one on the same port says why it cannot, in one line, and what helps.
second = subprocess.run([PROGRAM, f'127.0.0.1:{app.port}'], cwd=app.folder.name, capture_output=True, text=True,
                        timeout=20)
same(second.returncode, 1)
assert len(second.stderr.splitlines()) == 1, second.stderr
assert 'Address already in use' in second.stderr and 'ss -ltnp' in second.stderr, second.stderr
same(open(app.folder.name + '/.alos-cert.pem').read(), kept)

# A client within its handshake is still served when the server is told to stop; one that said nothing is not waited
# for.
silent = socket.create_connection(('127.0.0.1', app.port), 10)
time.sleep(1.5)  # it arrives late
late = socket.create_connection(('127.0.0.1', app.port), 10)
incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
tls = ssl._create_unverified_context().wrap_bio(incoming, outgoing)
try:
    tls.do_handshake()
except ssl.SSLWantReadError:
    late.sendall(outgoing.read())
incoming.write(late.recv(65536))
app.process.send_signal(signal.SIGTERM)
same(silent.recv(1), b'')
tls.do_handshake()
tls.write(b'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
late.sendall(outgoing.read())
while received := late.recv(65536):
    incoming.write(received)
assert tls.read(65536).endswith(b'\r\n\r\nSecure!')

same(app.process.wait(20), 0)
log = app.text()
lines = [line.split()[2] for line in log.splitlines()]
same(lines[:4], ['server.listen', 'server.names', 'server.protocols', 'server.threads'])

for address, reason in (('nonsense', 'host:port'), ('192.0.2.1:0', 'ip address'), ('unix:/nowhere/a.sock', 'folder')):
    failed = subprocess.run([PROGRAM, address], cwd=app.folder.name, capture_output=True, text=True, timeout=20)
    assert failed.returncode == 1 and len(failed.stderr.splitlines()) == 1 and reason in failed.stderr, failed
