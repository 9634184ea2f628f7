import os
from running import Running, same

app = Running('a.sock', pattern='server.listen')
def get(path):
    return app.curl('--unix-socket', 'a.sock', 'https://localhost' + path)
assert get('/').startswith('over a Unix socket, with TLS_')
same(get('/count'), '1\n2\n3\n')
app.stop()
assert not os.path.exists(app.folder.name + '/a.sock')
