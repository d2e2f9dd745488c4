"""promtool and the OpenMetrics parser of Prometheus's client library read what is exported for them, and find the ledger and
the sites of the report.

usage: openmetrics_test.py TIDEMARK LIBRARY PROGRAM
"""
import json
import os
import subprocess
import sys
import unittest

from harness import PROGRAM, SITES, SKIP, TIDEMARK, export, need, read, run, snapshot

PROMTOOL = need('promtool', 'prometheus')
try:
    from prometheus_client.openmetrics.parser import text_string_to_metric_families
except ImportError:
    print('skipped: there is no OpenMetrics parser (Debian package python3-prometheus-client)')
    sys.exit(SKIP)


class OpenMetrics(unittest.TestCase):
    def families(self, path):
        out = export('openmetrics', path)
        text = read(out)
        checked = subprocess.run([PROMTOOL, 'check', 'metrics'], input=text, capture_output=True, text=True, timeout=60,
                                 check=False)
        self.assertEqual((checked.returncode, checked.stderr), (0, ''))
        self.assertEqual(os.stat(out).st_mode & 0o777, 0o666 & ~self.umask())
        found = {}
        for family in text_string_to_metric_families(text):
            self.assertEqual(family.type, 'gauge')
            self.assertTrue(family.documentation)
            found[family.name] = family.samples
        return found

    @staticmethod
    def umask():
        mask = os.umask(0)
        os.umask(mask)
        return mask

    def check(self, settings):
        path = snapshot(settings)
        report = json.loads(run(TIDEMARK, 'report', '--json', path).stdout)
        families = self.families(path)
        ledger = {sample.labels['row']: sample.value for sample in families['tidemark_ledger_bytes']}
        self.assertEqual(ledger, {row['name']: row['bytes'] for row in report['ledger']})
        self.assertEqual(sum(ledger.values()), report['rss_bytes'])
        verdict = report['verdict']
        for name, value in [('rss_bytes', report['rss_bytes']), ('live_bytes', verdict['live_bytes']),
                            ('held_bytes', verdict['held_bytes']), ('pinned_bytes', verdict['pinned_bytes']),
                            ('cached_bytes', verdict['cached_bytes']), ('page_floor_bytes', report['page_floor_bytes'])]:
            sample, = families['tidemark_' + name]
            self.assertEqual(sample.value, value, name)
            self.assertEqual(sample.labels, {'pid': str(report['process']['pid']), 'program': os.path.basename(PROGRAM)})
        return report, families

    def test_without_sites(self):
        _, families = self.check('sites=off')
        self.assertNotIn('tidemark_site_live_bytes', families)

    def test_sites(self):
        report, families = self.check('sites=all')
        for name, key in [('live', 'live'), ('held', 'held_share'), ('sole_pin', 'sole_pin'), ('allocated', 'allocated')]:
            found = {sample.labels['site']: sample.value for sample in families[f'tidemark_site_{name}_bytes']}
            for site in report['sites']:
                if site.get('function') in SITES[:6]:
                    self.assertEqual(found[site['name']], site[key]['bytes'], (name, site['name']))
            if name in ('live', 'allocated'):
                self.assertEqual(sum(found.values()), sum(site[key]['bytes'] for site in report['sites']))
            if name == 'held':
                self.assertEqual(sum(found.values()), report['verdict']['pinned_bytes'])
        self.assertTrue(any("at hard;name#1 'x?y" in sample.labels['site']
                            for sample in families['tidemark_site_live_bytes']))


if __name__ == '__main__':
    unittest.main(argv=sys.argv[:1])
