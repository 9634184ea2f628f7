from running import Running

app = Running('127.0.0.1:0')
assert app.get('/').startswith('events: ')
text = app.stop()
assert 'connections=100' in text, text
