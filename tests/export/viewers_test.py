"""valgrind's viewers read what is exported for them: ms_print of massif, and the script of dh_view.html, which is loaded in
node with as much of a document as it needs, builds its tree and shows it.

usage: viewers_test.py TIDEMARK LIBRARY PROGRAM
"""
import collections
import json
import re
import sys
import tempfile
import unittest

from harness import DIRECTORY, Report, check_report, export, need, run, snapshot

MS_PRINT = need('ms_print', 'valgrind')
DH_VIEW = need('dh_view.js', 'valgrind')
NODE = need('node', 'nodejs')

# Loads the viewer, gives it the file as its own file dialog would, and prints what it made of it.
SHOW = r'''
const fs = require('fs');
class Element {
  constructor(tag) {
    this.tag = tag; this.childNodes = []; this.text = '';
    this.classList = {add() {}, remove() {}, contains() { return false; }, toggle() {}};
    this.style = {};
  }
  appendChild(child) { this.childNodes.push(child); return child; }
  removeChild(child) { this.childNodes.splice(this.childNodes.indexOf(child), 1); }
  get firstChild() { return this.childNodes[0]; }
  get lastChild() { return this.childNodes[this.childNodes.length - 1]; }
  hasChildNodes() { return this.childNodes.length > 0; }
  get selectedIndex() { return this.childNodes.findIndex(o => o.selected); }
  cloneNode() { return new Element(this.tag); }
  get parentNode() { return {replaceChild: (next, old) => { old.childNodes = next.childNodes; old.text = next.text; }}; }
  set textContent(text) { this.text = text; }
  setAttribute() {}
  addEventListener() {}
  all() { return this.text + this.childNodes.map(child => child.all()).join(''); }
}
globalThis.document = {
  title: '', body: new Element('body'), location: {search: ''},
  createElement: tag => new Element(tag),
  createTextNode: text => { const node = new Element('#text'); node.text = text; return node; },
};
globalThis.window = globalThis;
globalThis.FileReader = class {
  readAsText(file) { this.onload({target: {result: fs.readFileSync(file.name, 'utf8')}}); }
};
(0, eval)(fs.readFileSync(process.argv[2], 'utf8') + `
  onLoad();
  gInput.files = [{name: process.argv[3]}];
  loadFile();
  const leaves = [];
  const walk = (node, above) => {
    const frames = above.concat(node._frames.map(i => gData.ftbl[i]));
    if (!node._kids)
      leaves.push({frames, total: node._totalBytes, blocks: node._totalBlocks, peak: node._atTGmaxBytes,
                   end: node._atTEndBytes, most: node._maxBytes});
    for (const kid of node._kids || []) walk(kid, frames);
  };
  walk(gRoot, []);
  console.log(JSON.stringify({text: gMainDiv.all(), leaves, total: gRoot._totalBytes, peak: gRoot._atTGmaxBytes,
                              end: gRoot._atTEndBytes, blocks: gRoot._totalBlocks}));
`);
'''


def viewed(path):
    with tempfile.NamedTemporaryFile('w', dir=DIRECTORY, suffix='.js', delete=False) as script:
        script.write(SHOW)
    return json.loads(run(NODE, script.name, DH_VIEW, path).stdout)


class Viewers(unittest.TestCase):
    maxDiff = None

    def check_dhat(self, settings):
        path = snapshot(settings)
        report = Report(path)
        shown = viewed(export('dhat', path))
        self.assertIn('Mode:    tidemark', shown['text'])
        self.assertIn('export_shapes', shown['text'])
        self.assertNotIn('NaN', shown['text'])
        self.assertEqual([shown[key] for key in ('total', 'peak', 'end', 'blocks')],
                         [report.total(figure) for figure in ('allocated', 'peak', 'live', 'allocated_blocks')])
        found, expected = collections.Counter(), collections.Counter()
        for leaf in shown['leaves']:
            self.assertEqual(leaf['frames'][0], '[root]')
            names = tuple(re.sub(r'^0x[0-9A-F]+: ', '', re.sub(r' \((in )?[^()]*\)$', '', frame))
                          for frame in reversed(leaf['frames'][1:]))
            found[names, leaf['total'], leaf['blocks'], leaf['peak'], leaf['end'], leaf['most']] += 1
        for stack in report.stacks:
            if stack.allocated or stack.live or stack.peak:
                expected[stack.names, stack.allocated, stack.allocated_blocks, stack.peak, stack.live,
                         max(stack.peak, stack.live)] += 1
        self.assertEqual(found, expected)
        return report, shown

    def test_dhat_exact(self):
        report, shown = self.check_dhat('sites=all')
        check_report(self, report)
        self.assertIn(f"Total:     {report.total('allocated'):,} bytes (100%", shown['text'])
        self.assertIn('At t-gmax: ', shown['text'])

    def test_dhat_sampled(self):
        self.check_dhat('sites=sample,rate=64K,seed=7')

    def check_massif(self, settings):
        path = snapshot(settings)
        report = Report(path)
        printed = run(MS_PRINT, '--threshold=1', export('massif', path), cwd=DIRECTORY)
        self.assertEqual(printed.stderr, '')
        rows = re.findall(r'^ *(\d+) +([\d,]+) +([\d,]+) +([\d,]+) +([\d,]+) +0$', printed.stdout, re.M)
        rows = [[int(field.replace(',', '')) for field in row] for row in rows]
        self.assertEqual([row[0] for row in rows], list(range(len(rows))))
        times = [row[1] for row in rows]
        self.assertEqual(times, sorted(times))
        verdict = report.json['verdict']
        self.assertEqual(rows[-1][1], report.json['process']['since_start_ns'] // 10**6)
        self.assertEqual(rows[-1][3], max(verdict['live_bytes'], report.total('live')))
        self.assertEqual(rows[-1][4], verdict['held_bytes'])
        peak = int(re.search(r'\[(\d+) \(peak\)', printed.stdout).group(1))
        self.assertEqual(rows[peak][3], report.total('peak'))
        self.tree(printed.stdout, peak, report.by_function('peak'), rows[peak])
        self.tree(printed.stdout, len(rows) - 1, report.by_function('live'), rows[-1])

    def tree(self, text, number, expected, row):
        """The innermost functions with a percent or more of all have their bytes in the tree."""
        tree = text.split(f'\n{number:>3} ')[1].split('\n', 1)[1].split('\n---')[0]
        top = collections.Counter()
        for found, name in re.findall(r'^->[\d.]+% \(([\d,]+)B\) 0x[0-9A-F]+: (\S+) \(', tree, re.M):
            top[name] += int(found.replace(',', ''))
        large = {name: value for name, value in expected.items() if value * 50 >= row[2] and name.startswith('at_')}
        self.assertTrue(large)
        for name, value in large.items():
            self.assertEqual(top[name], value, tree)

    def test_massif_exact(self):
        self.check_massif('sites=all')

    def test_massif_sampled(self):
        self.check_massif('sites=sample,rate=64K,seed=7')

    def test_massif_without_sites(self):
        path = snapshot('sites=off')
        printed = run(MS_PRINT, export('massif', path), cwd=DIRECTORY).stdout
        live = Report(path).json['verdict']['live_bytes']
        self.assertGreater(live, 0)
        self.assertIn(f'({live:,}B) [not recorded]', printed)


if __name__ == '__main__':
    unittest.main(argv=sys.argv[:1])
