from running import PROGRAM, SOURCE, same
import subprocess, sys
sys.path.insert(0, SOURCE + '/tests/support')
from pebble import Pebble, Program, need_pebble

for word, why in (('emial=admin@example.com', 'emial=admin@example.com is no setting'),
                  ('keys=foo', "keys cannot be 'foo'; it is one of ecdsa, rsa, both"),
                  ('challenge=http-02', "challenge cannot be 'http-02'; it is one of http-01, tls-alpn-01, dns-01"),
                  ('http01_port=abc', "http01_port cannot be 'abc'; it is a number from 1 to 65535"),
                  ('http01_port=0', "http01_port cannot be '0'"),
                  ('tls_alpn01_port=65536', "tls_alpn01_port cannot be '65536'")):
    wrong = subprocess.run([PROGRAM, word, 'addr=bad'], capture_output=True, text=True, timeout=60)
    same((word, wrong.returncode, why in wrong.stderr), (word, 2, True))

need_pebble()
with Pebble() as ca, Program(PROGRAM, ca, 'a.test,b.test', 'c.test', email='admin@example.com') as app:
    app.wait_for_certificate('a.test')
    app.wait_for_certificate('c.test')
    (ca.folder / 'root.pem').write_text(ca.roots[0])
    for name in ('a.test', 'b.test', 'c.test'):
        said = subprocess.run(['curl', '-sS', '--noproxy', '*', '--max-time', '20', '--cacert', ca.folder / 'root.pem',
                               '--resolve', f'{name}:{app.tls_port}:127.0.0.1', f'https://{name}:{app.tls_port}/'],
                              capture_output=True, text=True)
        same(said.stdout, f'Hello from {name}\n')
    assert (app.folder / '.alos-certs').is_dir()
    same(app.stop(), 0)
