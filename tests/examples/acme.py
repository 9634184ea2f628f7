from running import PROGRAM, SOURCE, same
import subprocess, sys
sys.path.insert(0, SOURCE + '/tests/support')
from pebble import Pebble, Program, need_pebble

wrong = subprocess.run([PROGRAM, 'emial=admin@example.com'], capture_output=True, text=True)
same((wrong.returncode, 'emial=admin@example.com is no setting' in wrong.stderr), (2, True))

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
