"""Starts an example in a folder of its own and talks to it with curl."""
import atexit, os, re, shutil, signal, subprocess, sys, tempfile, time

PROGRAM, SOURCE = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
if not shutil.which('curl'):
    print('skipped: no curl')
    sys.exit(77)


class Running:
    def __init__(self, *arguments, pattern=r'https="?[^ ]*?:(\d+)'):
        self.folder = tempfile.TemporaryDirectory()
        self.log = open(self.folder.name + '/log', 'w+')
        self.process = subprocess.Popen([PROGRAM, *arguments], cwd=self.folder.name, stdout=subprocess.DEVNULL,
                                        stderr=self.log)
        atexit.register(self.process.kill)
        found = None
        for _ in range(200):
            text = self.text()
            found = re.search(pattern, text)
            if found and ('server.threads' in text or 'server.listen' not in text):
                break
            if self.process.poll() is not None:
                raise SystemExit(f'{PROGRAM} ended with {self.process.returncode}: {text}')
            time.sleep(0.05)
        self.port = int(found[1]) if found and found.groups() else 0

    def text(self):
        return open(self.folder.name + '/log').read()

    def curl(self, *arguments):
        done = subprocess.run(['curl', '-sSk', '--max-time', '20', *arguments], capture_output=True, text=True,
                              cwd=self.folder.name)
        if done.returncode:
            raise SystemExit(f'curl {arguments}: {done.returncode} {done.stderr}')
        return done.stdout

    def get(self, path, *arguments):
        return self.curl(*arguments, f'https://127.0.0.1:{self.port}{path}')

    def stop(self, expected=0):
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(20)
        text = self.text()
        assert status == expected, (status, text)
        return text


def same(found, wanted):
    assert found == wanted, f'{found!r} instead of {wanted!r}'
