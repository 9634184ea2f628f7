import signal
from running import Running, same

app = Running('0', pattern=r'https://localhost:(\d+)/')
same(app.get('/'), 'Beast over alos\n')
same(app.get('/a', f'https://127.0.0.1:{app.port}/b'), 'Beast over alos\n' * 2)
app.stop(-signal.SIGTERM)
