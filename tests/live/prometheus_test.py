"""A real Prometheus scrapes `tidemark metrics --listen` and answers queries for what it found. Skipped (77) where
Debian's package prometheus is not installed."""
import json
import os
import re
import shutil
import subprocess
import sys
import time
import unittest
import urllib.parse
import urllib.request

import live_target
from live_target import SWELL, WithTargets

MIB = 1 << 20


class Prometheus(WithTargets):
    def start_prometheus(self, port):
        """Starts one that scrapes the port; its own address."""
        config = os.path.join(self.directory, 'prometheus.yml')
        with open(config, 'w', encoding='ascii') as file:
            file.write('global: {scrape_interval: 500ms, scrape_timeout: 500ms}\nscrape_configs:\n- job_name: tidemark\n'
                       f'  static_configs: [{{targets: ["127.0.0.1:{port}"]}}]\n')
        self.log = os.path.join(self.directory, 'log')
        with open(self.log, 'w', encoding='utf-8') as log:
            server = subprocess.Popen(['prometheus', f'--config.file={config}', '--web.listen-address=127.0.0.1:0',
                                       f'--storage.tsdb.path={self.directory}/data'], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, stderr=log, text=True)
        self.children.append(server)
        # It chooses the port and tells it nowhere but here.
        deadline = time.monotonic() + 30
        while True:
            with open('/proc/net/tcp', encoding='ascii') as file:
                listening = {fields[9]: int(fields[1].split(':')[1], 16) for fields in map(str.split, file)
                             if fields[3] == '0A'}
            for name in os.listdir(f'/proc/{server.pid}/fd'):
                try:
                    match = re.fullmatch(r'socket:\[(\d+)\]', os.readlink(f'/proc/{server.pid}/fd/{name}'))
                except OSError:
                    continue
                if match and match[1] in listening:
                    return f'http://127.0.0.1:{listening[match[1]]}'
            self.assertIsNone(server.poll(), open(self.log, encoding='utf-8').read())
            self.assertLess(time.monotonic(), deadline, open(self.log, encoding='utf-8').read())
            time.sleep(0.1)

    def query(self, where, what):
        """{(metric's name, pid): value} of a query."""
        try:
            with urllib.request.urlopen(f'{where}/api/v1/query?query={urllib.parse.quote(what)}', timeout=10) as answer:
                found = json.load(answer)
        except OSError:
            return {}  # it is starting
        self.assertEqual(found['status'], 'success')
        return {(one['metric'].get('__name__'), one['metric'].get('pid')): float(one['value'][1])
                for one in found['data']['result']}

    def test_scraped(self):
        child = self.start_python(SWELL, settings=',sites=all')
        server = subprocess.Popen([self.command, 'metrics', '--listen', '127.0.0.1:0'], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.children.append(server)
        port = re.search(r':(\d+)/metrics', server.stderr.readline())[1]
        where = self.start_prometheus(port)
        deadline = time.monotonic() + 30
        pid = str(child.pid)
        while not (found := self.query(where, '{__name__=~"tidemark_.*_bytes(_total)?"}')):
            self.assertLess(time.monotonic(), deadline, open(self.log, encoding='utf-8').read())
            time.sleep(0.2)
        self.assertAlmostEqual(found['tidemark_live_bytes', pid] / MIB, 24, delta=3)
        self.assertGreater(found['tidemark_pinned_bytes', pid], 10 * MIB)
        self.assertGreater(found['tidemark_rss_bytes', pid], found['tidemark_live_bytes', pid])
        self.assertGreater(found['tidemark_allocated_bytes_total', pid], 50 * MIB)
        self.assertIn(('tidemark_cached_bytes', pid), found)
        self.assertEqual(set(self.query(where, 'up{job="tidemark"}').values()), {1})
        # It knows the type and the unit's word of each from the format that it asked for.
        with urllib.request.urlopen(f'{where}/api/v1/targets/metadata?metric=tidemark_taken_bytes', timeout=10) as answer:
            known = json.load(answer)['data']
        self.assertEqual([(one['type'], one['unit']) for one in known], [('counter', 'bytes')])
        # What ends leaves the next scrape.
        child.kill()
        while self.query(where, f'tidemark_rss_bytes{{pid="{pid}"}}'):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.2)


if __name__ == '__main__':
    if not shutil.which('prometheus'):
        print('skipped: prometheus is not installed')
        sys.exit(77)
    unittest.main(argv=sys.argv[:1])
