"""Every command of alos-acme against Pebble, as people and as scripts call them."""
from running import PROGRAM, SOURCE, same
import contextlib, fcntl, json, os, re, signal, subprocess, sys, time
sys.path.insert(0, SOURCE + '/tests/support')
from pebble import Pebble, Program, free_port, need_pebble, new_folder, wait_until


def has(text, *parts):
    for part in parts:
        assert part in text, f'{part!r} is not in {text!r}'


def call(*words, folder, status=0, ca=None, options=()):
    """Runs it in that folder, and tells it of the CA: what it said on stdout and on stderr."""
    told = []
    if ca:
        told = ['--roots', ca.roots_file, '--resolver', ca.resolver]
        if words[0] in ('issue', 'doctor'):
            told += ['--directory', ca.directory]
        if words[0] in ('issue', 'renew', 'doctor'):
            told += [f'--http-addr=127.0.0.1:{ca.http_port}', f'--addr=127.0.0.1:{ca.tls_port}',
                     f'--http01-port={ca.http_port}', f'--tls-alpn01-port={ca.tls_port}']
    done = subprocess.run([PROGRAM, words[0], *map(str, told), *options, *words[1:]], cwd=folder, capture_output=True,
                          text=True, timeout=60)
    assert done.returncode == status, f'{words}: {done.returncode} {done.stdout} {done.stderr}'
    return done.stdout, done.stderr


def serial(folder, id):
    path = folder / '.alos-certs' / 'certs' / id / 'current' / 'fullchain.pem'
    return subprocess.run(['openssl', 'x509', '-in', path, '-noout', '-serial'], capture_output=True, text=True,
                          check=True).stdout


def misuse():
    folder = new_folder()
    for words, hint in (
            (['isue'], "'isue' is no command"),
            (['issue', '--emial', 'x', 'a.test'], 'is --email meant?'),
            (['issue', '--nonsense', 'a.test'], '--help lists them'),
            (['issue', '--force', 'a.test'], '--force means nothing to issue'),
            (['--force', 'issue', 'a.test'], '--force means nothing to issue'),
            (['issue', '--orders', 'a.test'], '--orders means nothing to issue'),
            (['issue', '--account-key', 'ecdsa-p256,rsa-2048', 'a.test'], '--account-key'),
            (['issue', '--email'], '--email has no value; write --email ADDRESS'),
            (['issue', '--http01-port'], '--http01-port has no value; write --http01-port PORT, which is 1 to 65535'),
            (['issue', '--email', '--staging', 'a.test'],
             '--email has no value before --staging; write --email ADDRESS, or --email=--staging where that is meant'),
            (['issue', '--email=', 'a.test'], "--email cannot be ''; write --email ADDRESS"),
            (['issue', '--dns-wait', '601', '--dns-exec=x', 'a.test'],
             "--dns-wait cannot be '601'; write --dns-wait SECONDS, which is 0 to 600"),
            (['issue', '--dns-wait=1', 'a.test'], '--dns-exec PROGRAM'),
            (['issue', '--json=yes', 'a.test'], "--json takes no value; leave out '=yes'"),
            (['issue', '--key-type', 'dsa', 'a.test'], "'dsa'; write --key-type TYPES, which is ecdsa-p256, "),
            (['issue', '--challenge', 'http-02', 'a.test'], "'http-02'; write --challenge TYPES, which is http-01, "),
            *((['issue', f'--directory={each}', 'a.test'],
               f"--directory cannot be '{each}'; write --directory URL, which is https://host/path")
              for each in ('ftp://x', 'http://ca.test/', 'https://', 'https://x:99999/', 'x')),
            *((['issue', '--resolver', each, 'a.test'], f"--resolver cannot be '{each}'; write --resolver ADDRESS, wh")
              for each in ('x', ',', '1.2.3.4,x')),
            *((['issue', option, each, 'a.test'],
               f"{option} cannot be '{each}'; write {option} ADDRESS, which is host:port, [::1]:port, :port or unix:")
              for option in ('--http-addr', '--addr') for each in ('nope', 'x:99999', '::1:80')),
            (['issue', '--http01-port', '0', 'a.test'], "'0'; write --http01-port PORT, which is 1 to 65535"),
            (['issue', 'not a name'], 'cannot be in a certificate'),
            (['issue'], 'which names?'),
            (['issue', 'a.test,b.test', 'a.test'], 'one for a.test, b.test and one for a.test; name them in one'),
            (['revoke'], 'which names?'),
            (['revoke', '--reason', 'boredom', 'a.test'], "--reason REASON, which is unspecified, keyCompromise, "),
            (['issue', '--staging', '--directory=https://ca.test', 'a.test'], 'two CAs'),
            (['issue', '--eab-kid=1', 'a.test'], '--eab-hmac-key-file'),
            (['issue', '--eab-hmac-key=AAAA', 'a.test'], '--eab-kid'),
            (['issue', '--eab-kid=1', '--eab-hmac-key=AAAA', '--eab-hmac-key-file=f', 'a.test'], 'two keys'),
            (['issue', '--eab-hmac-key-file=f', 'a.test'], '--eab-kid'),
            (['account', 'destroy'], 'none of show'),
            (['account', 'update'], '--email'),
            (['account', 'rollover', '--key-type=ecdsa-p384'], '--key-type means nothing to account'),
            (['list', 'a.test'], 'means nothing to list')):
        out, said = call(*words, folder=folder, status=2)
        same(out, '')
        has(said, hint)
        out, _ = call(words[0], '--json', *words[1:], folder=folder, status=2)
        has(json.loads(out)['error'], hint)
    out, _ = call('issue', '--json', '--\udcff', folder=folder, status=2)  # a byte that is no UTF-8
    has(json.loads(out)['error'], r'--\xff is no option')
    for words in (['--help'], ['issue', '--help'], ['account', '-h']):
        out, _ = call(*words, folder=folder)
        has(out, 'alos-acme')
        same(json.loads(call(*words, '--json', folder=folder)[0]), {'help': out})
    for words in (['--version'], ['list', '--version']):
        out, _ = call(*words, folder=folder)
        assert re.fullmatch(r'alos-acme \d+\.\d+\.\d+\n', out), out
        same(json.loads(call(*words, '--json', folder=folder)[0]), {'version': out.split()[1]})
    has(call('issue', '--help', folder=folder)[0], '--staging', '--eab-kid', '--eab-hmac-key-file', '--dns-exec',
        'that the CA connects to, behind a router or for a CA of your own (80): 1 to 65535')
    same(list(folder.iterdir()), [])  # nothing of that touches anything


def unreadable():
    """Who cannot see the certificates says so, and does not take them for none."""
    folder = new_folder()
    (folder / 'file').touch()
    for words in (['list'], ['renew'], ['revoke', 'a.test'], ['account']):
        has(call(*words, folder=folder, status=1)[1], '.alos-certs: there is no such folder')
        out, _ = call(*words, '--json', folder=folder, status=1)
        has(json.loads(out)['error'], 'there is no such folder')
        has(call(*words, '--cache-dir=file', folder=folder, status=1)[1], 'file: it is no folder')
    same([each.name for each in folder.iterdir()], ['file'])
    certs = folder / '.alos-certs/certs'
    certs.parent.mkdir()
    for command in ('list', 'renew'):
        has(call(command, folder=folder)[0], 'there are no certificates')
        same(json.loads(call(command, '--json', folder=folder)[0]), {'certificates': []})
    certs.touch()
    for command in ('list', 'renew'):
        has(call(command, folder=folder, status=1)[1], 'certs: cannot be listed')
    nowhere = ['--directory=https://127.0.0.1:1/', '--http-addr=127.0.0.1:0', '--addr=127.0.0.1:0']
    has(call('doctor', *nowhere, folder=folder, status=1)[0], 'problem: .alos-certs: certificates: ')
    certs.unlink()
    (certs.parent / 'account').symlink_to('account')  # in a circle
    for words in (['account'], ['account', 'rollover'], ['issue', *nowhere, 'a.test']):
        has(call(*words, folder=folder, status=1)[1], 'alos-acme: .alos-certs/account: cannot be listed')
    out, _ = call('doctor', *nowhere, folder=folder, status=1)
    has(out, 'problem: .alos-certs: account: .alos-certs/account: cannot be listed', 'directory: ')
    has(call('list', folder=folder)[0], 'there are no certificates')  # it needs no account
    (certs.parent / 'account').unlink()
    (certs.parent / 'account').mkdir()
    (certs.parent / 'account/127.0.0.1-x.json').symlink_to('127.0.0.1-x.json')
    for words in (['account'], ['issue', *nowhere, 'a.test']):
        has(call(*words, folder=folder, status=1)[1], 'alos-acme: .alos-certs/account/127.0.0.1-x.json: it is damaged')
    (certs.parent / 'account/127.0.0.1-x.json').unlink()
    for text in ('', '{"directory":"https://127.0.0.1:1/"', '{"directory":"https://127.0.0.1:1/","email":""}'):
        (certs.parent / 'account/127.0.0.1-x.json').write_text(text)
        for words in (['account'], ['issue', *nowhere, 'a.test']):
            has(call(*words, folder=folder, status=1)[1],
                'alos-acme: .alos-certs/account/127.0.0.1-x.json: it is damaged; put a copy of it back, or remove it')
        for words in ([], ['--email=a@b.test']):
            has(call('doctor', *nowhere, *words, folder=folder, status=1)[0], 'account/127.0.0.1-x.json: it is damaged')
        has(call('list', folder=folder)[0], 'there are no certificates')
    (certs.parent / 'account/127.0.0.1-x.json').unlink()
    for name in ('fullchain.pem', 'privkey.pem'):
        path = certs / 'b.test.ecdsa-p256/000001' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (folder / 'hook').touch(0o600)
    for program, why in (('/nonexistent', 'No such file'), ('./hook', 'Permission denied'), ('/', 'Is a directory')):
        has(call('doctor', *nowhere, '--dns-exec', program, '127.0.0.1', folder=folder, status=1)[0],
            f'problem: {program}: --dns-exec: it cannot be started: {why}', 'which PATH is not searched for')
    (folder / 'hook').chmod(0o700)
    assert '--dns-exec' not in call('doctor', *nowhere, '--dns-exec=./hook', '127.0.0.1', folder=folder, status=1)[0]
    for words in ([], ['127.0.0.1']):
        out, _ = call('doctor', *nowhere, *words, folder=folder, status=1)
        has(out, 'problem: b.test.ecdsa-p256: certificate: ', 'privkey.pem: it is empty', 'alos-acme issue')
    if os.geteuid() != 0:
        closed = certs / 'a.test.ecdsa-p256'
        closed.mkdir()
        closed.chmod(0)
        out, _ = call('doctor', *nowhere, folder=folder, status=1)
        has(out, 'problem: a.test.ecdsa-p256: certificate: ')
        for command in ('list', 'renew'):
            has(call(command, folder=folder, status=1)[1], 'alos-acme: a.test.ecdsa-p256: ', 'cannot be listed')
        closed.chmod(0o700)
        certs.parent.chmod(0)
        for command in ('list', 'renew', 'account'):
            has(call(command, folder=folder, status=1)[1], '.alos-certs: it cannot be read')
        certs.parent.chmod(0o700)


def unheard():
    """What cannot be written to stdout is told, and is no success."""
    folder = new_folder()
    (folder / '.alos-certs').mkdir()
    for words in (['list'], ['list', '--json'], ['--help'], ['list', '--help'], ['--version'], ['account', '--json']):
        for stdout in ('>/dev/full', '>&-'):
            done = subprocess.run(['sh', '-c', f'exec "$0" "$@" {stdout}', PROGRAM, *words], cwd=folder,
                                  stderr=subprocess.PIPE, text=True, timeout=60)
            same((words, stdout, done.returncode), (words, stdout, 1))
            has(done.stderr, 'stdout cannot be written')
        reading, writing = os.pipe()
        os.close(reading)
        done = subprocess.run([PROGRAM, *words], cwd=folder, stdout=writing, stderr=subprocess.PIPE, text=True)
        os.close(writing)
        same((words, done.returncode), (words, 1))
        has(done.stderr, 'stdout cannot be written')


def all_commands():
    folder = new_folder()
    with Pebble() as ca:
        out, said = call('doctor', 'a.test', folder=folder, ca=ca)
        has(out, 'ok: a.test: http-01 on port', 'ok: a.test: tls-alpn-01 on port', 'no problems')
        has(out, 'warning: a.test: addresses')  # as pebble-challtestsrv leads to 127.0.0.1
        assert 'loopback' not in out, out  # where this CA is, too
        same(ca.orders(), 0)

        out, said = call('issue', '--email', 'admin@example.com', 'a.test,b.test', 'c.test', folder=folder, ca=ca)
        has(out, 'a.test.ecdsa-p256: obtained, valid until', 'c.test.ecdsa-p256: obtained')
        has(said, 'registered as', 'publishing the answer to http-01 for b.test', 'asking for the certificate')
        assert re.search(r'^\[ *\d+\.\d\d s, \+\d+\.\d\d s\] ', said, re.MULTILINE), said
        first = serial(folder, 'a.test.ecdsa-p256')

        # What is there is not asked for again.
        out, _ = call('issue', 'a.test,b.test', folder=folder, ca=ca)
        has(out, 'a.test.ecdsa-p256: current')
        same(ca.orders(), 2)
        out, _ = call('renew', folder=folder, ca=ca)
        has(out, 'a.test.ecdsa-p256: current', 'c.test.ecdsa-p256: current')
        same(serial(folder, 'a.test.ecdsa-p256'), first)

        out, _ = call('list', folder=folder)
        has(out, 'NAMES', 'a.test, b.test', 'ecdsa-p256', 'Pebble', ' days')
        lines = json.loads(call('list', '--json', folder=folder)[0])['certificates']
        same([(line['id'], line['generation']) for line in lines],
             [('a.test.ecdsa-p256', 1), ('c.test.ecdsa-p256', 1)])

        out, _ = call('renew', '--force', '--json', 'b.test', '--challenge=tls-alpn-01', folder=folder, ca=ca)
        line, = json.loads(out)['certificates']
        same((line['result'], line['error'], line['generation'], line['names']),
             ('renewed', None, 2, ['a.test', 'b.test']))
        assert (folder / line['fullchain']).is_file() and (folder / line['privkey']).is_file()
        assert serial(folder, 'a.test.ecdsa-p256') != first
        same(ca.log().count('registered'), 0)

        out, _ = call('issue', '--key-type', 'ecdsa-p384,rsa-2048,ecdsa-p384', 'c.test', folder=folder, ca=ca)
        has(out, 'c.test.ecdsa-p384: obtained', 'c.test.rsa-2048: obtained')
        same(len(out.splitlines()), 2)

        key = folder / '.alos-certs/certs/a.test.ecdsa-p256/current/privkey.pem'
        text = key.read_text()
        key.write_text('')
        out, _ = call('doctor', folder=folder, ca=ca)
        has(out, 'warning: a.test.ecdsa-p256: certificate: ', 'it is empty; the one before it is used, 1', 'b.test')
        key.write_text(text)

        # Nobody loses a name by forgetting it.
        orders = ca.orders()
        out, said = call('issue', '--json', 'a.test', folder=folder, ca=ca, status=1)
        same(json.loads(out)['certificates'][0]['result'], 'failed')
        has(said, 'is for a.test, b.test; type alos-acme issue a.test,b.test to', '--replace-names')
        _, said = call('issue', 'a.test,x.test', folder=folder, ca=ca, status=1)
        has(said, 'alos-acme issue a.test,b.test,x.test to')
        same(ca.orders(), orders)
        has(call('issue', 'e.test', folder=folder, ca=ca)[0], 'e.test.ecdsa-p256: obtained')
        has(call('issue', 'e.test,f.test', folder=folder, ca=ca)[0], 'e.test.ecdsa-p256: renewed')
        has(call('issue', '--replace-names', 'e.test', folder=folder, ca=ca)[0], 'e.test.ecdsa-p256: renewed')
        has(call('list', folder=folder)[0], '\ne.test  ')

        # Nobody can prove these; the CA is not asked.
        asked = ca.log()
        out, said = call('issue', '--json', '*.d.test', folder=folder, ca=ca, status=1)
        same(json.loads(out)['certificates'][0]['result'], 'failed')
        has(said, '*.d.test: a wildcard is proven by dns-01 only; set --dns-exec, and leave dns-01 in --challenge')
        same(json.loads(out)['certificates'][0]['error'], said.split(': ', 2)[2].strip())
        _, said = call('issue', '--challenge=dns-01', 'd.test', folder=folder, ca=ca, status=1)
        has(said, 'd.test: nothing in --challenge can prove it; add http-01 or tls-alpn-01, or set --dns-exec')
        same(ca.log(), asked)

        _, said = call('renew', 'd.test', folder=folder, ca=ca, status=1)
        has(said, 'd.test: there is no certificate for it')
        out, _ = call('revoke', '--reason', 'superseded', 'b.test', folder=folder, ca=ca)
        has(out, 'a.test.ecdsa-p256: revoked; it stays')
        call('revoke', 'd.test', folder=folder, ca=ca, status=1)
        has(call('list', folder=folder)[0], 'now, forced')
        has(call('renew', 'b.test', folder=folder, ca=ca)[0], 'a.test.ecdsa-p256: renewed')
        assert 'forced' not in call('list', folder=folder)[0]

        # Where nothing says which CA a certificate is from, that of the account is asked, by the account.
        meta = folder / '.alos-certs/certs/e.test.ecdsa-p256/current/meta.json'
        meta.unlink()
        out, said = call('renew', '--force', 'e.test', folder=folder, ca=ca)
        has(out, 'e.test.ecdsa-p256: renewed')
        assert 'registered as' not in said, said
        meta.unlink()
        has(call('revoke', 'e.test', folder=folder, ca=ca)[0], 'e.test.ecdsa-p256: revoked')

        url = json.loads(call('account', '--json', folder=folder, ca=ca)[0])['accounts'][0]['url']
        has(call('account', 'show', folder=folder, ca=ca)[0], url, 'valid', 'kept for admin@example.com')
        listed, = json.loads(call('account', '--orders', '--json', folder=folder, ca=ca)[0])['accounts']
        same(len(listed['orders']), ca.orders())  # on several pages
        has(call('account', 'show', '--orders', folder=folder, ca=ca)[0], ': valid, c.test')
        key, = folder.glob('.alos-certs/account/*.key')
        text = key.read_text()
        key.write_text('x')
        for action in ('show', 'update', 'rollover', 'deactivate'):
            has(''.join(call('account', action, '--email=a@example.com', folder=folder, ca=ca, status=1)),
                key.name + ": the account's key is lost")
            same(key.read_text(), 'x')
        key.write_text(text)
        record, = folder.glob('.alos-certs/account/*.json')
        record.write_text('')
        _, said = call('renew', '--force', 'c.test', folder=folder, ca=ca, status=1)
        has(said, record.name + ': it is damaged; ')
        _, said = call('issue', '--email=admin@example.com', 'g.test', folder=folder, ca=ca)  # as that says
        has(said, record.name + '.broken-')
        same(json.loads(call('account', '--json', folder=folder, ca=ca)[0])['accounts'][0]['url'], url)
        call('account', 'update', '--email', 'other@example.com', folder=folder, ca=ca)
        has(call('account', folder=folder, ca=ca)[0], url, 'kept for other@example.com')
        has(call('account', 'rollover', '--account-key=ecdsa-p384', folder=folder, ca=ca)[0], 'it has a new key')
        key, = folder.glob('.alos-certs/account/*.key')
        has(subprocess.run(['openssl', 'pkey', '-in', key, '-noout', '-text'], capture_output=True, text=True).stdout,
            'P-384')
        out, said = call('renew', '--force', 'c.test', folder=folder, ca=ca)
        has(out, 'c.test.ecdsa-p256: renewed', 'c.test.ecdsa-p384: renewed', 'c.test.rsa-2048: renewed')
        has(said, 'registration reused: ' + url)
        has(call('account', 'deactivate', folder=folder, ca=ca)[0], 'closed')
        has(call('account', folder=folder)[0], 'there is no account')
        _, said = call('account', 'rollover', folder=folder, ca=ca, status=1)
        has(said, 'no such account')


def others():
    """What certbot and lego keep is listed, with who keeps it; nothing is done with it."""
    for owner, chain, key in (('certbot', 'live/o.test/fullchain.pem', 'live/o.test/privkey.pem'),
                              ('lego', 'certificates/o.test.crt', 'certificates/o.test.key')):
        folder = new_folder()
        (folder / chain).parent.mkdir(parents=True)
        subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1',
                        '-nodes', '-days', '30', '-subj', '/CN=o', '-addext',
                        'subjectAltName=DNS:o.test,DNS:www.o.test',
                        '-out', folder / chain, '-keyout', folder / key], check=True, capture_output=True)
        out, _ = call('list', '--cache-dir=.', folder=folder)
        assert re.search(f'^o.test, www.o.test +ecdsa-p256 +CN=o +in \\d+ days +{owner}$', out, re.MULTILINE), out
        line, = json.loads(call('list', '--cache-dir=.', '--json', folder=folder)[0])['certificates']
        same((line['id'], line['names'], line['keyType'], line['source'], line['nextAttempt']),
             ('o.test', ['o.test', 'www.o.test'], 'ecdsa-p256', owner, None))
        assert re.fullmatch(r'20\S+Z', line['notAfter']), line
        for command in ('renew', 'issue', 'doctor'):
            _, said = call(command, '--cache-dir=.', 'o.test', folder=folder, status=1)
            has(said, f"is a folder of {owner}'s, which is only listed; choose another one by --cache-dir")
        (folder / key).write_text('')
        _, said = call('list', '--cache-dir=.', folder=folder, status=1)
        has(said, 'it is empty')
        if owner == 'certbot' and os.geteuid() != 0:
            (folder / 'live').chmod(0)
            has(call('list', '--cache-dir=.', folder=folder, status=1)[1], './live: it cannot be read')
            (folder / 'live').chmod(0o700)


def beside_a_server():
    """A server has the ports: on the same folder it answers, on another one it does not."""
    server_program = os.path.join(os.path.dirname(PROGRAM), 'acme')
    if not os.path.exists(server_program):
        return
    with Pebble() as ca, Program(server_program, ca, 's.test') as server:
        server.wait_for_certificate('s.test')
        out, said = call('issue', 'a.test', folder=server.folder, ca=ca)
        has(out, 'a.test.ecdsa-p256: obtained')
        has(said, 'http-01: a server on the same folder listens there, and answers')
        has(call('doctor', 'a.test', folder=server.folder, ca=ca)[0], 'another process on the same folder answers')

        elsewhere = new_folder()
        out, said = call('issue', '--json', '--challenge=http-01,http-01', 'b.test', folder=elsewhere, ca=ca, status=1)
        has(said, 'http-01 cannot be answered', 'acme_node', 'same cache_dir')
        same(said.count('cannot be answered: '), 1)
        same(json.loads(out)['certificates'][0]['result'], 'failed')
        same(ca.orders(), 2)
        out, _ = call('doctor', 'b.test', folder=elsewhere, ca=ca, status=1)
        has(out, 'problem: b.test: http-01 on port', 'nothing could be put there', '2 problems')

        # The key that the command gives to the account is that of the server, too.
        has(call('account', 'rollover', folder=server.folder, ca=ca)[0], 'it has a new key')
        same(server.ask('s.test', '/renew/s.test', 'POST'), (200, 'renewed\n'))


def failures():
    folder = new_folder()
    nowhere = ['--http-addr', '127.0.0.1:0', '--addr', '127.0.0.1:0']
    with Pebble() as ca:
        # Nobody is where the CA looks.
        options = [f'--http-addr=127.0.0.1:{free_port()}', f'--addr=127.0.0.1:{free_port()}']
        start = time.monotonic()
        out, said = call('issue', '--json', '--challenge=http-01', *options, 'a.test', folder=folder, ca=ca, status=1)
        line, = json.loads(out)['certificates']
        same(line['result'], 'failed')
        has(line['error'], 'authorization', 'http-01 for a.test failed', 'let the CA reach port 80')
        assert time.monotonic() - start < 30
        out, _ = call('list', folder=folder)
        assert re.search(r'^a\.test +ecdsa-p256 +none yet +in \d+ \w+ +0 +authorization: ', out, re.MULTILINE), out
        line, = json.loads(call('list', '--json', folder=folder)[0])['certificates']
        same((line['names'], line['notAfter'], line['failures']), (['a.test'], None, 1))
        assert line['lastError'] and line['nextAttempt']
        elsewhere = new_folder()
        for _ in range(4):  # one more than may fail
            _, said = call('issue', '--challenge=http-01', *options, 'x.test', folder=elsewhere, ca=ca, status=1)
        assert re.search(r'x\.test.*as many validations failed.*; again at 20\S+Z$', said, re.MULTILINE), said
        # A program that sets TXT records, and is waited for.
        hook = elsewhere / 'hook'
        hook.write_text('#!/bin/sh\necho "$@" >> %s/hook.log\n' % elsewhere)
        hook.chmod(0o700)
        begun = time.monotonic()
        _, said = call('issue', '--challenge=dns-01', '--dns-exec', hook, '--dns-wait', '3', '*.d.test',
                       folder=elsewhere, ca=ca, status=1)
        assert time.monotonic() - begun > 3
        has(said, 'the TXT record _acme-challenge.d.test was not there yet')
        has((elsewhere / 'hook.log').read_text(), 'present _acme-challenge.d.test. ')
        _, said = call('issue', '--staging', '--resolver', ca.resolver, *nowhere, 'a.test', folder=folder, status=1)
        has(said, 'acme-staging')
        # Waits belong to those who are not asked by people: both of these try at once, or say why not.
        _, said = call('issue', '--challenge=http-01', *options, 'a.test', folder=folder, ca=ca, status=1)
        has(said, 'alos-acme: a.test.ecdsa-p256: authorization')
        call('issue', 'a.test', folder=folder, ca=ca)
        meta = folder / '.alos-certs/certs/a.test.ecdsa-p256/current/meta.json'
        text = meta.read_text()
        for action in (meta.touch, meta.unlink):  # it says more than the certificate, which is enough
            action()
            _, said = call('issue', '--staging', *nowhere, 'a.test,b.test', folder=folder, status=1)
            has(said, 'a.test.ecdsa-p256: servers', 'nobody believes instead of that for a.test; try in another')
        meta.write_text(text)
        # What is not due and was only wished for is over when that failed, also for servers on the folder.
        for words in (['renew', '--force', '--profile=nix'], ['issue', '--profile=nix', 'a.test']):
            has(call(*words, folder=folder, ca=ca, status=1)[1], 'alos-acme: a.test.ecdsa-p256: ', 'nix')
            line, = json.loads(call('list', '--json', folder=folder)[0])['certificates']
            same((line['failures'], line['lastError']), (0, None))
            has(call('renew', folder=folder, ca=ca)[0], 'a.test.ecdsa-p256: current')
        call('revoke', 'a.test', folder=folder, ca=ca)
        ca.stop()
        _, said = call('renew', '--force', folder=folder, ca=ca, status=1)
        has(said, 'a.test.ecdsa-p256: directory')
        out, said = call('renew', '--json', folder=folder, ca=ca, status=1)
        same(json.loads(out)['certificates'][0]['result'], 'waiting')
        assert re.search(r'; again at 20\S+Z, --force asks at once', said), said

        (folder / '.alos-certs').chmod(0o755)
        _, said = call('issue', '--directory', 'https://127.0.0.1:1/dir', *nowhere, 'b.test', folder=folder, status=1)
        has(said, 'directory')
        out, _ = call('doctor', '--directory', 'https://127.0.0.1:1/dir', '--json', *nowhere, '--resolver', ca.resolver,
                      folder=folder, status=1)
        found = {(each['check'], each['health']) for each in json.loads(out)['findings']}
        assert ('directory', 'problem') in found and ('permissions', 'warning') in found, out
        has(out, 'a CA of your own needs its authorities in --roots')
        out, _ = call('doctor', '--cache-dir=hook', '--directory=https://127.0.0.1:1/dir', *nowhere, folder=elsewhere,
                      status=1)
        has(out, 'choose another --cache-dir')
    with Pebble(eab={'kid-1': 'zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W'}) as ca:
        _, said = call('issue', 'a.test', folder=new_folder(), ca=ca, status=1)
        has(said, 'wants an external account; set --eab-kid and --eab-hmac-key(-file) to what its page shows')
        out, _ = call('doctor', 'a.test', folder=new_folder(), ca=ca, status=1)
        has(out, 'it wants an external account (EAB); give the --eab-kid and --eab-hmac-key(-file) that')
        unread = ['--eab-kid=1', '--eab-hmac-key-file=no/eab_hmac_key']
        _, said = call('issue', *unread, 'a.test', folder=new_folder(), ca=ca, status=1)
        has(said, 'account: no/eab_hmac_key: the --eab-hmac-key(-file) for ')
        bound = ['--eab-kid', 'kid-1', '--eab-hmac-key',
                 'zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W']
        folder = new_folder()
        call('issue', *bound, 'a.test', folder=folder, ca=ca)
        def lose_account():
            for each in folder.glob('.alos-certs/account/*'):
                each.unlink()

        lose_account()  # and so another one is opened
        has(call('renew', '--force', folder=folder, ca=ca, status=1)[1], 'set --eab-kid and --eab-hmac-key(-file)')
        call('renew', '--force', *bound, folder=folder, ca=ca)
        lose_account()  # the certificate's own key does
        has(call('revoke', 'a.test', folder=folder, ca=ca)[0], 'a.test.ecdsa-p256: revoked')


def side_by_side():
    """Of several commands on one folder one has the ports, and the next waits for it."""
    folder = new_folder()
    locks = folder / '.alos-certs/locks'
    locks.mkdir(0o700, parents=True)
    with Pebble() as ca, open(locks / 'ports.lock', 'w') as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        process = subprocess.Popen(
            [PROGRAM, 'issue', '--roots', str(ca.roots_file), '--resolver', ca.resolver, '--directory', ca.directory,
             f'--http-addr=127.0.0.1:{ca.http_port}', f'--addr=127.0.0.1:{ca.tls_port}',
             f'--http01-port={ca.http_port}', f'--tls-alpn01-port={ca.tls_port}', 'a.test'],
            cwd=folder, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        has(process.stderr.readline(), 'waiting for another alos-acme on this folder to end')
        fcntl.flock(held, fcntl.LOCK_UN)
        said = process.stderr.read()
        assert process.wait(60) == 0, said


def interrupted(*signals, ignores=signal.SIGUSR1, is_heard=True):
    """What stands in the storage for the CA goes when the command does; what it is told to ignore does not end it."""
    def ignore():
        for each in signals:
            signal.signal(each, signal.SIG_DFL)  # the tests may run under nohup
        signal.signal(ignores, signal.SIG_IGN)

    folder = new_folder()
    with Pebble(hesitation=15) as ca:
        process = subprocess.Popen(
            [PROGRAM, 'issue', '--roots', str(ca.roots_file), '--resolver', ca.resolver, '--directory', ca.directory,
             f'--http-addr=127.0.0.1:{ca.http_port}', f'--addr=127.0.0.1:{ca.tls_port}',
             f'--http01-port={ca.http_port}', f'--tls-alpn01-port={ca.tls_port}',
             ','.join(f'n{i}.test' for i in range(12))],
            cwd=folder, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, preexec_fn=ignore)
        try:
            wait_until('an answer', lambda: list(folder.glob('.alos-certs/challenge/http-01/*.json')))
            if ignores in signals:
                process.send_signal(ignores)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    raise AssertionError(f'it ended with {process.wait(1)}')
            if not is_heard:
                process.stderr.close()
            for each in signals:
                process.send_signal(each)
            process.wait(10)
            said = process.stderr.read() if is_heard else 'interrupted'
        finally:
            process.kill()
        same(process.returncode, 1)
        has(said, 'interrupted')
        same(list(folder.glob('.alos-certs/challenge/http-01/*.json')), [])


misuse()
unreadable()
unheard()
need_pebble()
others()
all_commands()
beside_a_server()
failures()
side_by_side()
interrupted(signal.SIGTERM)
interrupted(signal.SIGHUP, signal.SIGHUP)  # a terminal that is closed tells twice
interrupted(signal.SIGHUP, signal.SIGTERM, ignores=signal.SIGHUP)  # nohup
interrupted(signal.SIGTERM, is_heard=False)
