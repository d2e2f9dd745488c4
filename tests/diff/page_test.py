"""The page of a comparison in a real browser: figures, colours of the flame graph, clicks, no network.

usage: page_test.py LIBRARY TIDEMARK PHASES PHASES_SECOND BROWSER_PY
"""
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(sys.argv[5])))
from browser import Browser, find_chromium  # the module's place is an argument
from harness import WithSnapshots


class Page(WithSnapshots):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.first, cls.second = cls.take(2)
        cls.browser = Browser()

    @classmethod
    def tearDownClass(cls):
        cls.browser.close()
        super().tearDownClass()

    def open(self, *arguments):
        path = os.path.join(self.directory, 'page.html')
        self.assertEqual(self.diff('--html', path, *arguments).stdout, '')
        self.browser.open(path)
        self.assertEqual(self.browser.requests, ['file://' + path])
        self.assertEqual(self.browser.errors, [])
        return path

    def cells(self, selector):
        return self.browser.query(selector, '[...node.children].map((cell) => cell.textContent)')

    def test_figures(self):
        self.open(self.first, self.second)
        document = self.json(self.first, self.second)
        self.assertEqual(self.browser.query('.verdict'), [document['verdict']])
        rows = self.cells('#ledger tbody tr')
        shown = [row['name'] for row in document['ledger'] if row['before_bytes'] or row['after_bytes']]
        self.assertEqual([row[0] for row in rows], shown + ['RSS'])
        self.assertIn(['blocks of 64 B', '−787.5 KiB', '+787.5 KiB', '0 B'], self.cells('#moves tbody tr'))
        self.assertNotIn('false', self.browser.query('#page', 'node.textContent')[0])
        self.assertNotIn('undefined', self.browser.query('#page', 'node.textContent')[0])
        bars = self.browser.query('svg.bars rect', '[Number(node.getAttribute("y")), Number(node.getAttribute("width"))]')
        lengths = [sum(width for y, width in bars if (y > 0) == (name == 'after')) for name in ('before', 'after')]
        sums = [sum(max(row[name], 0) for row in document['ledger']) for name in ('before_bytes', 'after_bytes')]
        for length, figure in zip(lengths, sums):
            self.assertAlmostEqual(length, 1000 * figure / max(sums), places=3)

    def test_flame_graph(self):
        self.open('--by', 'live', self.first, self.second)

        def colour_of(name):
            return self.browser.run(
                f'[...document.querySelectorAll(".flame .node")].find((node) => node.textContent === "{name}").classList[0]')
        self.assertEqual(colour_of('fills'), 'shrunk5')
        self.assertEqual(colour_of('appears'), 'grown5')
        self.assertEqual(colour_of('leaks'), 'grown3')  # twice as much
        red, blue = (self.browser.run(f'getComputedStyle(document.querySelector(".{name} rect")).fill')
                     for name in ('grown5', 'shrunk5'))
        for fill, strong, weak in ((red, 0, 2), (blue, 2, 0)):
            parts = [int(part) for part in fill[fill.index('(') + 1:-1].split(',')]
            self.assertGreater(parts[strong], parts[weak] + 80, fill)
        self.browser.click('#flame button[data-key=held]')
        self.assertEqual(colour_of('keeps'), 'grown5')

    def test_sites(self):
        self.open(self.first, self.second)
        self.assertEqual(self.cells('#sites tbody tr')[0][0], 'appeared')
        self.browser.click('#sites button[data-key=live]')
        first = self.cells('#sites tbody tr')[0]
        self.assertEqual((first[0], first[2:5]), ('went', ['787.5 KiB', '0 B', '−787.5 KiB']))
        self.assertTrue(first[1].startswith('fills'))
        self.browser.click('#sites tbody tr .name button')
        self.assertEqual(self.browser.query('#flame input', 'node.value'), ['fills'])
        self.browser.click('#flame button[data-key=live]')
        self.assertEqual(self.browser.query('.flame .hit text'), ['fills'])

    def test_without_sites(self):
        plain = self.take(1, settings='sites=off')
        self.open(plain[0], self.second)
        self.assertEqual(self.browser.query('#flame'), [])
        self.assertIn('has no call sites', self.browser.query('#notes')[0])

    def test_where_it_goes(self):
        self.assertIn('</html>', self.diff('--html', '-', self.first, self.second).stdout)
        nowhere = os.path.join(self.directory, 'no', 'page.html')
        self.assertIn(f"'{nowhere}' cannot be written", self.diff('--html', nowhere, self.first, self.second, status=1).stderr)
        self.assertIn('leave out --html or --json',
                      self.diff('--html', '-', '--json', self.first, self.second, status=2).stderr)


if __name__ == '__main__':
    if find_chromium() is None:
        print('chromium (Debian: chromium) is not installed: the page is not tested')
        sys.exit(77)
    unittest.main(argv=sys.argv[:1], verbosity=2)
