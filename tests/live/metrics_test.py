"""`tidemark metrics`: the text, the file, and the server with what it refuses."""
import http.client
import os
import re
import shutil
import socket
import stat
import subprocess
import time
import unittest

import live_target
from live_target import SWELL, WithTargets

MIB = 1 << 20
SAMPLE = re.compile(r'(tidemark_\w+)(?:\{pid="(\d+)",program="((?:[^"\\]|\\.)*)",user="((?:[^"\\]|\\.)*)"\})? ([\d.]+)')
NAMES = {'tidemark_rss_bytes', 'tidemark_live_bytes', 'tidemark_pinned_bytes', 'tidemark_cached_bytes',
         'tidemark_taken_bytes_total'}


class Metrics(WithTargets):
    def serve(self, place='127.0.0.1:0', *more):
        """Starts a server; (its host, its port)."""
        server = subprocess.Popen([self.command, 'metrics', '--listen', place, *more], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.children.append(server)
        line = server.stderr.readline()
        match = re.fullmatch(r'tidemark: serving http://(.*):(\d+)/metrics\n', line)
        self.assertTrue(match, line)
        return match[1].strip('[]'), int(match[2])

    def ask(self, where, method='GET', path='/metrics', **headers):
        """(status, headers, body) of one request."""
        connection = http.client.HTTPConnection(*where, timeout=10)
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        body = answer.read().decode()
        connection.close()
        return answer.status, answer.headers, body

    def ask_raw(self, where, data):
        """All that is answered to these bytes."""
        with socket.create_connection(where, timeout=10) as connection:
            try:
                connection.sendall(data)
            except ConnectionError:
                pass  # it has seen enough
            answer = b''
            try:
                while more := connection.recv(65536):
                    answer += more
            except ConnectionError:
                pass
        return answer.decode()

    def check_openmetrics(self, text):
        """The samples, {name: {pid: value}}, of a text that has for each family its lines in order, once."""
        lines = text.split('\n')
        self.assertEqual(lines[-2:], ['# EOF', ''])
        family, kind, unit, seen, samples = None, None, None, set(), {}
        for line in lines[:-2]:
            if line.startswith('# HELP '):
                family, kind, unit = line.split()[2], None, None
                self.assertNotIn(family, seen)
                seen.add(family)
                self.assertTrue(line.endswith('.'), line)
            elif line.startswith('# TYPE '):
                self.assertEqual(line.split()[2], family)
                kind = line.split()[3]
                self.assertIn(kind, ('gauge', 'counter'))
            elif line.startswith('# UNIT '):
                self.assertEqual(line.split()[2], family)
                unit = line.split()[3]
                self.assertTrue(family.endswith('_' + unit), line)
            else:
                match = SAMPLE.fullmatch(line)
                self.assertTrue(match, line)
                self.assertEqual(match[1], family + ('_total' if kind == 'counter' else ''))
                per_process = samples.setdefault(match[1], {})
                self.assertNotIn(match[2], per_process)
                per_process[match[2]] = float(match[5])
        return samples

    def check_values(self, samples, child):
        found = {name: samples[name][str(child.pid)] for name in NAMES}
        self.assertAlmostEqual(found['tidemark_live_bytes'] / MIB, 24, delta=3)
        self.assertGreater(found['tidemark_pinned_bytes'], 10 * MIB)
        self.assertGreater(found['tidemark_rss_bytes'], found['tidemark_live_bytes'])
        self.assertGreater(found['tidemark_taken_bytes_total'], found['tidemark_live_bytes'])
        self.assertAlmostEqual(samples['tidemark_start_time_seconds'][str(child.pid)], time.time(), delta=60)

    def test_openmetrics(self):
        child = self.start_python(SWELL)
        recorded = self.start_python(SWELL, settings=',sites=all')
        without = self.start_python(SWELL, settings=',live=no')
        samples = self.check_openmetrics(self.tidemark('metrics'))
        self.check_values(samples, child)
        allocated = samples['tidemark_allocated_bytes_total']
        self.assertNotIn(str(child.pid), allocated)
        self.assertGreater(allocated[str(recorded.pid)], 50 * MIB)
        self.assertIn(str(without.pid), samples['tidemark_rss_bytes'])
        self.assertNotIn(str(without.pid), samples['tidemark_live_bytes'])
        self.assertGreaterEqual(samples['tidemark_processes'][None], 3)
        self.assertGreaterEqual(samples['tidemark_processes_without_figures'][None], 1)

    def test_names_are_escaped(self):
        """Whatever a program is called, a line stays a line and a label a label."""
        name = os.path.join(self.directory, 'a"b\\c\nd\xff')
        os.symlink('/bin/sleep', name)
        self.addCleanup(os.unlink, name)
        copy = shutil.copy(os.path.realpath('/bin/sleep'), name + 'x')
        self.addCleanup(os.unlink, copy)
        child = self.start(copy, '100')
        self.look_until(lambda found: child.pid in found)
        text = self.tidemark('metrics')
        self.check_openmetrics(text)
        line, = [line for line in text.split('\n') if line.startswith(f'tidemark_rss_bytes{{pid="{child.pid}"')]
        self.assertIn('program="a\\"b\\\\c?d', line)

    @unittest.skipUnless(shutil.which('promtool'), 'promtool (package prometheus) is not installed')
    def test_promtool(self):
        self.start_python(SWELL, settings=',sites=all')
        done = subprocess.run(['promtool', 'check', 'metrics'], input=self.tidemark('metrics', '--format', 'text'),
                              capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stderr + done.stdout), (0, ''))

    def test_file(self):
        child = self.start_python(SWELL)
        directory = os.path.join(self.directory, 'collector')
        os.mkdir(directory)
        path = os.path.join(directory, 'tidemark.prom')
        with open(path, 'w', encoding='ascii') as file:
            file.write('old')
        old = os.stat(path).st_ino
        self.assertEqual(self.tidemark('metrics', '--output', path), '')
        self.assertEqual(os.listdir(directory), ['tidemark.prom'])
        self.assertNotEqual(os.stat(path).st_ino, old)
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o644)
        with open(path, encoding='utf-8') as file:
            self.check_values(self.check_openmetrics(file.read()), child)
        self.assertIn('/nowhere/x.prom', self.tidemark('metrics', '--output', '/nowhere/x.prom', expect=1))
        self.assertIn('stdout', self.tidemark('metrics', expect=1, preexec_fn=self.full_stdout))

    @staticmethod
    def full_stdout():
        os.dup2(os.open('/dev/full', os.O_WRONLY), 1)

    def test_usage(self):
        for arguments, said in ((['--format', 'xml'], 'xml'), (['x'], "'x'"), (['--listen-any'], '--listen-any'),
                                (['--listen', '127.0.0.1:0', '--format', 'text'], '--format'),
                                (['--listen', '127.0.0.1'], '127.0.0.1:9464'), (['--listen', 'example:1'], 'example:1'),
                                (['--listen', '127.0.0.1:65536'], '65536'), (['--listen', ':9000'], ':9000'),
                                (['--listen', '0.0.0.0:0'], '--listen-any'), (['--listen', '[::]:0'], '[::]:0')):
            self.assertIn(said, self.tidemark('metrics', *arguments, expect=2))
        self.assertIn('usage: tidemark metrics', self.tidemark('metrics', '--help'))
        where = self.serve()
        self.assertIn('in use', self.tidemark('metrics', '--listen', f'127.0.0.1:{where[1]}', expect=1))

    def test_served(self):
        child = self.start_python(SWELL)
        where = self.serve()
        status, headers, body = self.ask(where, Accept='application/openmetrics-text;version=1.0.0,text/plain;q=0.5')
        self.assertEqual(status, 200)
        self.assertEqual(headers['Content-Type'], 'application/openmetrics-text; version=1.0.0; charset=utf-8')
        self.assertEqual(int(headers['Content-Length']), len(body))
        self.check_values(self.check_openmetrics(body), child)
        status, headers, body = self.ask(where)
        self.assertEqual((status, headers['Content-Type']), (200, 'text/plain; version=0.0.4; charset=utf-8'))
        self.assertIn('# TYPE tidemark_taken_bytes_total counter\n', body)
        self.assertNotIn('# EOF', body)
        status, headers, body = self.ask(where, 'HEAD')
        self.assertEqual((status, body), (200, ''))
        self.assertGreater(int(headers['Content-Length']), 500)

    def test_refused(self):
        where = self.serve()
        self.assertEqual(self.ask(where, path='/')[0], 404)
        status, headers, _ = self.ask(where, 'POST')
        self.assertEqual((status, headers['Allow']), (405, 'GET, HEAD'))
        self.assertEqual(self.ask(where, path='/metrics?x=1')[0], 200)
        for data, status in ((b'nonsense\r\n\r\n', 400), (b'GET /metrics SPDY/3\r\n\r\n', 400),
                             (b'GET /metrics HTTP/1.1\r\n\0\r\n\r\n', 400), (b'GET /' + b'a' * 300 + b' HTTP/1.1\r\n\r\n', 400),
                             (b'GET /metrics HTTP/1.1\r\nX: ' + b'a' * 100000 + b'\r\n\r\n', 431)):
            self.assertTrue(self.ask_raw(where, data).startswith(f'HTTP/1.1 {status} '), data[:40])
        self.assertEqual(self.ask(where)[0], 200)

    def test_slow_clients(self):
        """One that sends nothing, or no end, holds the next up for two seconds at most."""
        where = self.serve()
        start = time.monotonic()
        with socket.create_connection(where) as idle, socket.create_connection(where) as drips:
            drips.sendall(b'GET /metrics HTTP/1.1\r\n')
            self.assertEqual(self.ask(where)[0], 200)
            self.assertLess(time.monotonic() - start, 6)
            self.assertIn(b'408', idle.recv(1000))
            self.assertIn(b'408', drips.recv(1000))

    def test_one_that_leaves(self):
        where = self.serve()
        for _ in range(20):
            with socket.create_connection(where) as connection:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
                connection.sendall(b'GET /metrics HTTP/1.1\r\n\r\n')
        self.assertEqual(self.ask(where)[0], 200)

    def test_anywhere(self):
        where = self.serve('0.0.0.0:0', '--listen-any')
        self.assertEqual(self.ask(('127.0.0.1', where[1]))[0], 200)

    def test_ipv6(self):
        if not os.path.exists('/proc/net/if_inet6'):
            self.skipTest('no IPv6 here')
        self.assertEqual(self.ask(self.serve('[::1]:0'))[0], 200)


if __name__ == '__main__':
    live_target.main()
