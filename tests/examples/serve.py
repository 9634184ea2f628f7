from running import Running, same, SOURCE

www = SOURCE + '/examples/www'
app = Running(www, '127.0.0.1:0', '127.0.0.1:0')
page = open(www + '/index.html').read()
same(app.get('/'), page)
same(app.get('/index.html'), page)
same(app.get('/index.html', '-r', '0-8'), page[:9])
same(app.get('/../../meson.build', '--path-as-is', '-o', '/dev/null', '-w', '%{http_code}'), '404')
etag = [line for line in app.get('/', '-I').splitlines() if line.lower().startswith('etag:')][0].split(' ', 1)[1]
same(app.get('/', '-H', 'If-None-Match: ' + etag, '-o', '/dev/null', '-w', '%{http_code}'), '304')
import re
http = re.search(r' http=127\.0\.0\.1:(\d+)', app.text())[1]
same(app.curl(f'http://127.0.0.1:{http}/a?b=c', '-o', '/dev/null', '-w', '%{http_code} %{redirect_url}'),
     f'301 https://127.0.0.1:{app.port}/a?b=c')
assert 'http.request' in app.stop()
