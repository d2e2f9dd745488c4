"""The pages of hostile snapshots in a real browser: no name is run, loaded, or shown as anything but itself."""
import shutil
import sys
import unittest

from hostile import FORMULA, LIBRARY, MARKUP, TERMINAL, UNSEEN, Hostile
from browser import Browser, find_chromium

STATE = '''[window.hit === undefined, document.images.length, document.scripts.length, document.querySelectorAll('iframe, object, embed, base, link, form').length,
[...document.querySelectorAll('*')].flatMap((node) => [...node.attributes]).filter((one) => one.name.startsWith('on') || /^\\s*javascript:/i.test(one.value)).length]'''
# All that is shown, on the page, in its title and where the pointer rests.
SHOWN = '''[document.title, document.body.textContent.replace(document.getElementById('data') ? document.getElementById('data').textContent : '', ''),
...[...document.querySelectorAll('[title], [aria-label]')].map((node) => (node.getAttribute('title') || '') + (node.getAttribute('aria-label') || ''))].join('\\n')'''


class Page(Hostile):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.browser = Browser()
        cls.addClassCleanup(cls.browser.close)

    def check(self, page, scripts):
        self.browser.open(page)
        state = self.browser.run(STATE)
        self.assertEqual(state, [True, 0, scripts, 0, 0])
        self.assertEqual(self.browser.errors, [])
        self.assertEqual([url for url in self.browser.requests if not url.startswith('file://')], [])
        self.assertEqual(len(self.browser.requests), 1)
        shown = self.browser.run(SHOWN)
        self.assertEqual([ascii(one) for one in UNSEEN.findall(shown)], [])
        self.assertEqual([ascii(one) for one in shown if ord(one) < 32 and one not in '\n\t' or 127 <= ord(one) < 160], [])
        return shown

    def test_report(self):
        for group in 'function', 'stack', 'line', 'library':
            page = f'{self.place}/{group}.html'
            self.run_command('report', '--group', group, '--html', page, self.before)
            shown = self.check(page, 2)
            if group != 'library':
                self.assertIn(MARKUP.decode(), shown)
                self.assertIn(FORMULA.decode(), shown)
                self.assertIn('\\u{202e}', shown)
            self.browser.click('#sites tr[data-place="0"] td.name button')
            self.assertEqual(self.browser.run(STATE)[:2], [True, 0])

    def test_diff(self):
        page = f'{self.place}/diff.html'
        self.run_command('diff', '--html', page, self.before, self.after)
        self.assertIn('\\u{202e}', self.check(page, 2))

    def test_compare(self):
        page = f'{self.place}/compare.html'
        library = shutil.copy(LIBRARY, f'{self.place}/lib.so').encode()
        name = b'b' + TERMINAL + MARKUP.replace(b'=', b'')
        self.run_command('compare', '--with', b'glibc,%s=%s' % (name, library), '--repeat', '1', '--html', page, '--', self.program, MARKUP)
        self.assertIn('<script>hit1</script>', self.check(page, 1))


if __name__ == '__main__':
    if not find_chromium():
        print('chromium is not installed')
        sys.exit(77)
    unittest.main(argv=sys.argv[:1])
