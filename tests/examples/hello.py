import os, subprocess, sys
from running import Running, same, PROGRAM

app = Running('127.0.0.1:0')
same(app.get('/'), 'Secure!')
same(app.get('/nowhere', '-o', '/dev/null', '-w', '%{http_code}'), '404')
kept = open(app.folder.name + '/.alos-cert.pem').read()
assert os.stat(app.folder.name + '/.alos-key.pem').st_mode & 0o777 == 0o600
same(app.curl(f'http://127.0.0.1:{app.port}/', '-w', '%{http_code}'),
     'This port speaks HTTPS only: write https:// in the address.\n400')

# A second one on the same port says why it cannot, in one line, and what helps.
second = subprocess.run([PROGRAM, f'127.0.0.1:{app.port}'], cwd=app.folder.name, capture_output=True, text=True, timeout=20)
same(second.returncode, 1)
assert len(second.stderr.splitlines()) == 1 and 'Address already in use' in second.stderr and 'ss -ltnp' in second.stderr, second.stderr
same(open(app.folder.name + '/.alos-cert.pem').read(), kept)
log = app.stop()
lines = [line.split()[2] for line in log.splitlines()]
same(lines[:4], ['server.listen', 'server.names', 'server.protocols', 'server.threads'])

for address, reason in (('nonsense', 'host:port'), ('192.0.2.1:0', 'ip address'), ('unix:/nowhere/a.sock', 'folder')):
    failed = subprocess.run([PROGRAM, address], cwd=app.folder.name, capture_output=True, text=True, timeout=20)
    assert failed.returncode == 1 and len(failed.stderr.splitlines()) == 1 and reason in failed.stderr, failed
