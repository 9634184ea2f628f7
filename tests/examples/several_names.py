from running import Running, same

app = Running('127.0.0.1:0')
def ask(name):
    return app.curl('--resolve', f'{name}:{app.port}:127.0.0.1', '-v', '--stderr', '-', f'https://{name}:{app.port}/')
def subject(name):
    return [line for line in ask(name).splitlines() if 'subject:' in line][0].split('CN=')[1]
same(subject('one.example'), 'one.example')
same(subject('a.two.example'), '*.two.example')
same(subject('other.example'), 'localhost')
assert 'Hello from one.example' in ask('one.example')

def fingerprint(name):
    return dict(line.split() for line in app.get('/certificates').splitlines())[name]
before = fingerprint('one.example'), fingerprint('localhost')
same(app.get('/renew/one.example', '-X', 'POST'), 'renewed\n')
after = fingerprint('one.example'), fingerprint('localhost')
assert before[0] != after[0] and before[1] == after[1]
same(app.get('/renew/not%20a%20name', '-X', 'POST', '-o', '/dev/null', '-w', '%{http_code}'), '400')
app.stop()
