"""tidemark report --html: its data against --json and the snapshot, and the page itself in a headless Chromium, with real
clicks and keys. html_test.py TIDEMARK LIBRARY SNAPSHOT_MAKE LARGE_MAKE SWELL Data|Page"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

from browser import Browser, find_chromium
from page import Map, data_of, text_bytes
from sections import Sections

TIDEMARK, LIBRARY, SNAPSHOT_MAKE, LARGE_MAKE, SWELL = (os.path.abspath(path) for path in sys.argv[1:6])
MAKERS = ['make_record', 'make_index_entry', 'make_text', 'make_session']
HOSTILE = '</script><img src=x onerror="window.hit=1"><script>window.hit=1</script>\u2028&lt;\\u003c'


def report(*arguments, status=0):
    done = subprocess.run([TIDEMARK, 'report', *arguments], capture_output=True, timeout=60)
    assert done.returncode == status, (arguments, done)
    return done


class Made:
    """A snapshot, its page and its JSON."""

    def __init__(self, snapshot, *options):
        self.snapshot, self.page = snapshot, snapshot + '.html'
        report(*options, '--html', self.page, snapshot)
        self.json = json.loads(report(*options, '--json', snapshot).stdout)
        self.data = data_of(self.page)


def run_program(program, sites, path, *arguments):
    subprocess.run([program, *arguments], check=True, capture_output=True, timeout=60,
                   env=dict(os.environ, LD_PRELOAD=LIBRARY, TIDEMARK=f'sites={sites},exit=snapshot,out={path}'))
    return path


class PageCase(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.place = tempfile.mkdtemp(prefix='tidemark-html-')
        cls.addClassCleanup(shutil.rmtree, cls.place)


class Data(PageCase):
    """Without a browser."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.made = {sites: Made(run_program(SWELL, sites, f'{cls.place}/{sites}.heap', '48')) for sites in ('all', 'sample', 'off')}

    def test_figures_are_those_of_json(self):
        for made in self.made.values():
            for key, value in made.json.items():
                if key == 'sites':
                    without = [{name: field for name, field in site.items() if name != 'frames'} for site in value]
                    self.assertEqual(made.data[key], without)
                else:
                    self.assertEqual(made.data[key], value, key)

    def test_map_sums_to_the_ledger(self):
        for made in self.made.values():
            cells = Map(made.data)
            rows = {row['name']: row['bytes'] for row in made.json['ledger']}
            self.assertEqual(sum(cells.pinned), rows['pinned'])
            self.assertEqual(sum(cells.cached), rows['cached in pools'] + rows['cached in arenas'])
            self.assertEqual(sum(cells.live), sum(one['live_bytes'] for one in made.json['classes']))
            self.assertGreater(sum(cells.pinned), 1 << 20)
            by_class = {}
            for size_class, pinned in zip(cells.size_class, cells.pinned):
                by_class[size_class] = by_class.get(size_class, 0) + pinned
            for one in made.json['classes']:
                self.assertEqual(by_class.get(one['size_class'] + 1, 0), one['pinned_bytes'])

    def test_pages_of_sites_are_those_of_the_snapshot(self):
        """PSET against SETS, and both against the lit cells."""
        for sites in 'all', 'sample':
            file = Sections(self.made[sites].snapshot)
            sets = file.records(b'SETS', 'IIHHIQQ')
            page_sets = file.records(b'PSET', 'II')
            counted = {}
            for _, number in page_sets:
                counted[number] = counted.get(number, 0) + 1
            listed = set(page for page, _ in page_sets)
            self.assertEqual(len(listed), len(page_sets))
            self.assertTrue(page_sets)
            pages = file.records(b'PAGE', 'HH')
            held = {}
            for page, number in page_sets:
                held[number] = held.get(number, 0) + 4096 - pages[page][1]
            for number, one in enumerate(sets):
                self.assertLessEqual(counted.get(number, 0), one[4])
                self.assertLessEqual(held.get(number, 0), one[6])
            full = sum(4096 * pool[2] - pool[3] * file.records(b'CLSS', 'IIII')[pool[1]][0]
                       for pool in file.records(b'POOL', 'QHHHHHHII') if pool[7] == 0xffffffff and pool[3] > 0)
            if sites == 'all':
                self.assertEqual(sum(held.values()) + full, sum(one[6] for one in sets))
            cells = Map(self.made[sites].data)
            self.assertEqual(sum(1 for mask in cells.set if cells.masks[mask]), len(page_sets))
            self.assertEqual(self.made[sites].data['map']['known_pages'], len(page_sets))

    def test_flame_sums_to_the_report(self):
        for sites in 'all', 'sample':
            made = self.made[sites]
            flame = made.data['flame']
            sums = {metric['key']: sum(metric['self']) for metric in flame['metrics']}
            held = made.json['held']
            # Shares of functions and of stacks are rounded apart.
            self.assertAlmostEqual(sums['held'], held['pinned_bytes'] - held['inconsistent_bytes'], delta=len(flame['parent']))
            for key, field in (('live', 'live'), ('allocated', 'allocated')):
                self.assertAlmostEqual(sums[key], sum(site[field]['bytes'] for site in made.json['sites']), delta=len(flame['parent']))
            self.assertAlmostEqual(sums['peak'], sum(site['peak_bytes'] for site in made.json['sites']), delta=len(flame['parent']))
            self.assertTrue(all(parent < i for i, parent in enumerate(flame['parent']) if i > 0))
            names = [site['name'] for site in made.json['sites']]
            for maker in MAKERS:
                place = next(i for i, name in enumerate(names) if name.startswith(maker))
                ends = [i for i, site in enumerate(flame['site']) if site == place + 1]
                self.assertTrue(ends)
                self.assertTrue(all(flame['frames'][flame['frame'][end]][0] == maker for end in ends))

    def test_small_stacks_are_put_together(self):
        made = Made(run_program(SWELL, 'all', f'{self.place}/stacks.heap', '1', '50', '40'))
        flame = made.data['flame']
        together = sum(1 for frame in flame['frame'][1:] if frame == 0)
        self.assertGreater(together, 0)
        self.assertLessEqual(len(flame['parent']) - together, 25000)
        for key, field in (('live', 'live'), ('allocated', 'allocated')):
            total = sum(next(metric for metric in flame['metrics'] if metric['key'] == key)['self'])
            self.assertEqual(total, sum(site[field]['bytes'] for site in made.json['sites']))
        place = next(i for i, site in enumerate(made.json['sites']) if site['name'].startswith('allocate_through'))
        self.assertGreater(made.json['sites'][place]['stacks'], 16000)
        self.assertTrue(any(site == place + 1 for site in flame['site']))

    def test_size_and_units_of_large_heaps(self):
        for arenas, most in ((4096, 1), (40960, 16)):
            path = f'{self.place}/{arenas}.heap'
            subprocess.run([LARGE_MAKE, str(arenas), path], check=True)
            report('--html', path + '.html', path)
            self.assertLess(os.path.getsize(path + '.html'), 10 << 20)
            data = data_of(path + '.html')
            self.assertEqual(data['map']['pages_per_cell'], most)
            self.assertEqual(sum(Map(data).pinned), data['verdict']['pinned_bytes'])

    def test_output(self):
        made = self.made['off']
        with open(made.page, 'rb') as page:
            self.assertEqual(report('--html', '-', made.snapshot).stdout, page.read())
        self.assertIn(b"'/nowhere/x.html' cannot be written", report('--html', '/nowhere/x.html', made.snapshot, status=1).stderr)
        self.assertIn(b'not both', report('--html', '-', '--json', made.snapshot, status=2).stderr)
        self.assertIn(b'could not be written to its end', report('--html', '/dev/full', made.snapshot, status=1).stderr)

    def test_wrong_page_sets_are_refused(self):
        file = Sections(self.made['all'].snapshot)
        payload = file.payload(b'PSET')
        for wrong in b'\xff' * 4 + payload[4:], payload[:4] + b'\xff' * 4 + payload[8:], payload[8:16] + payload[:8]:
            file.replace(b'PSET', wrong)
            file.write(f'{self.place}/wrong.heap')
            self.assertIn(b'PSET record', report(f'{self.place}/wrong.heap', status=1).stderr)


class Page(PageCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.made = {sites: Made(run_program(SWELL, sites, f'{cls.place}/{sites}.heap', '48')) for sites in ('all', 'sample')}
        cls.browser = Browser()
        cls.addClassCleanup(cls.browser.close)

    def open(self, page):
        self.browser.open(page)
        self.assertEqual(self.browser.requests, ['file://' + page])
        self.assertEqual(self.browser.errors, [])

    def tearDown(self):
        self.assertEqual(self.browser.errors, [])
        self.assertLessEqual(len(self.browser.requests), 1)

    def names(self):
        return self.browser.query('#sites tr[data-place] td.name')

    def test_sections_and_ledger(self):
        made = self.made['all']
        self.open(made.page)
        self.assertEqual(self.browser.query('section', 'node.id'), ['verdict', 'ledger', 'sites', 'map', 'classes', 'stacks', 'timeline', 'cost'])
        self.assertIn(made.json['verdict']['summary'].replace(' +- ', ' ±'), self.browser.query('#verdict p'))
        rows = [row for row in made.json['ledger'] if row['bytes']]
        self.assertEqual(self.browser.query('#ledger tbody tr td:first-child'), [row['name'] for row in rows] + ['RSS'])
        self.assertEqual(self.browser.query('#ledger tbody tr td:nth-child(2)'), [f"{row['bytes']:,}" for row in rows] + [f"{made.json['rss_bytes']:,}"])
        widths = self.browser.query('#ledger svg.bar rect', 'Number(node.getAttribute("width"))')
        self.assertAlmostEqual(sum(widths), 1000, delta=0.01)
        self.assertIn('peak ' + text_bytes(made.json['timeline']['peak_bytes']), self.browser.query('#timeline text.peak')[0])
        self.assertIn('RSS ' + text_bytes(made.json['rss_bytes']), self.browser.query('#timeline text'))

    def test_table_sorts_and_filters(self):
        for made in self.made.values():
            self.open(made.page)
            sites = [site for site in made.json['sites'] if site['recorded']]
            first = sites[0]
            cells = self.browser.query('#sites tr[data-place="0"] td')
            self.assertEqual(cells[0], first['name'])
            for column, field in ((1, 'held_share'), (3, 'sole_pin'), (4, 'sole_pin_resident'), (5, 'live')):
                self.assertTrue(cells[column].lstrip('~').startswith(text_bytes(first[field]['bytes'])), cells)
            self.assertEqual(cells[6], f"{first['live_blocks'] + 1e-9:,.0f}")
            for key, value in (('live', lambda site: site['live']['bytes']), ('blocks', lambda site: site['live_blocks']),
                               ('sole', lambda site: site['sole_pin']['bytes']),
                               ('age', lambda site: -site.get('oldest_since_start_ns', 1 << 63))):
                self.browser.click(f'#sites [data-sort={key}]')
                down = sorted(sites, key=value, reverse=True)
                self.assertEqual(self.names(), [site['name'] for site in down][:15])
                self.assertEqual(self.browser.query('#sites th[aria-sort]', 'node.getAttribute("aria-sort")'), ['descending'])
                self.browser.click(f'#sites [data-sort={key}]')
                up = sorted(sites, key=value)
                self.assertEqual(self.names(), [site['name'] for site in up][:15])
            self.browser.click('#sites input[type=search]')
            self.browser.type('make_te')
            self.assertEqual(self.names(), [site['name'] for site in sites if 'make_te' in site['name']])

    def lit_sum(self):
        return self.browser.query('.lit-sum')[0]

    def picture(self):
        """The map's pixels, in short."""
        return self.browser.run('''(() => { const map = document.querySelector('#map canvas'), canvas = document.createElement('canvas');
            canvas.width = map.width; canvas.height = map.height;
            const context = canvas.getContext('2d', {willReadFrequently: true}); context.drawImage(map, 0, 0);
            const data = new Uint32Array(context.getImageData(0, 0, canvas.width, canvas.height).data.buffer);
            let hash = 0; for (const pixel of data) hash = (Math.imul(hash, 31) + pixel) | 0; return hash; })()''')

    def test_site_lights_up_its_pages(self):
        made = self.made['all']
        self.open(made.page)
        plain = self.picture()
        place = next(i for i, site in enumerate(made.json['sites']) if site['name'].startswith('make_text'))
        self.browser.click(f'#sites tr[data-place="{place}"] td.name button')
        cells = Map(made.data)
        lit = cells.lit(place)
        self.assertGreater(len(lit), 100)
        self.assertEqual(self.lit_sum(), f'{len(lit):,} pages lit with certainty, with {text_bytes(sum(cells.pinned[cell] for cell in lit))} pinned.')
        stacks = self.browser.query('#sites .stack')
        self.assertTrue(stacks and all('make_text' in stack and 'load_item' in stack and 'main' in stack for stack in stacks), stacks)
        self.assertIn(f"{made.json['sites'][place]['live_blocks']:,.0f} live blocks", self.browser.query('#sites .details p')[0])
        self.assertNotEqual(self.picture(), plain)
        # The same by keys: the site is chosen again, and let go.
        self.browser.key('Enter')
        self.assertEqual(self.lit_sum(), '')
        self.assertEqual(self.picture(), plain)
        # The stacks of its function are found in the flame graph.
        self.browser.click(f'#sites tr[data-place="{place}"] td.name button')
        self.browser.click('#sites .to-flame')
        self.assertGreater(len(self.browser.query('.flame .hit')), 0)
        self.browser.click('#map .controls > button')
        self.assertEqual(self.picture(), plain)

    def test_class_filter(self):
        made = self.made['all']
        self.open(made.page)
        cells = Map(made.data)
        size_class = max(made.json['classes'], key=lambda one: one['pinned_bytes'])['size_class']
        self.browser.click(f'#classes tr[data-class="{size_class}"] button')
        lit = [cell for cell, one in enumerate(cells.size_class) if one == size_class + 1]
        self.assertTrue(self.lit_sum().startswith(f'{len(lit):,} pages lit'), self.lit_sum())
        self.assertEqual(self.browser.query('.by-class', 'node.value'), [str(size_class)])
        # With a site, both must hold. A select is used with keys, as a user without a mouse does.
        place = next(i for i, site in enumerate(made.json['sites']) if site['name'].startswith('make_record'))
        self.browser.run("document.querySelector('.by-site').focus()")
        self.browser.key(*['ArrowDown'] * (place + 1))
        self.browser.settle()
        both = set(cells.lit(place)) & set(lit)
        self.assertTrue(self.lit_sum().startswith(f'{len(both):,} pages lit'), self.lit_sum())

    def test_map_tells_what_is_there(self):
        made = self.made['all']
        self.open(made.page)
        cells = Map(made.data)
        self.browser.run("document.querySelector('#map canvas').focus()")
        self.browser.key('Home')
        cell = 0
        for key, step in (('ArrowRight', 1), ('ArrowRight', 1), ('ArrowDown', 8), ('ArrowLeft', -1)):
            self.browser.key(key)
            cell += step
            self.assertTrue(self.browser.query('#map .readout')[0].startswith(f'0x{cells.address(cell):x}'))
        # A page with survivors: the pointer over it, where the cursor's frame is.
        wanted = next(i for i, mask in enumerate(cells.set) if cells.masks[mask] and i % 64 < 8 and i < 64 * 20)
        self.browser.key('Home', *['ArrowRight'] * (wanted // 64 * 8 + wanted % 64))
        self.browser.run('document.activeElement.blur()')
        self.browser.move('#map .cursor')
        words = self.browser.query('#map .readout')[0]
        self.assertTrue(words.startswith(f'0x{cells.address(wanted):x}'), words)
        self.assertIn(f'{text_bytes(cells.live[wanted])} live, {text_bytes(cells.pinned[wanted])} free', words)
        block = next(one['block_bytes'] for one in made.json['classes'] if one['size_class'] == cells.size_class[wanted] - 1)
        self.assertIn(f'blocks of {block:,} B', words)
        for place, site in enumerate(made.json['sites']):
            if cells.masks[cells.set[wanted]] >> place & 1 and place < 62:
                self.assertIn(site['name'], words)
        self.assertIn(' old', words)

    def test_flame_graph(self):
        made = self.made['all']
        self.open(made.page)
        flame = made.data['flame']
        live = next(metric for metric in flame['metrics'] if metric['key'] == 'live')['self']
        self.browser.click('#stacks [data-key=live]')
        self.browser.click('#stacks input')
        self.browser.type('make_text')
        inside, sums = set(), 0
        for i, parent in enumerate(flame['parent']):
            if i > 0 and (parent in inside or flame['frames'][flame['frame'][i]][0] == 'make_text'):
                inside.add(i)
                sums += live[i]
        self.assertTrue(self.browser.query('#stacks .found')[0].startswith(f'found: {text_bytes(sums)},'))
        hits = set(self.browser.query('.flame .hit', 'Number(node.dataset.node)'))
        self.assertTrue(hits and hits <= inside)
        # A click zooms: the node is as wide as the picture; Escape goes back.
        node = min(hits)
        width = 'Number(node.querySelector("rect").getAttribute("width"))'
        before = self.browser.query(f'.flame [data-node="{node}"]', width)[0]
        self.browser.click(f'.flame [data-node="{node}"] rect')
        whole = self.browser.query('.flame [data-node="0"]', width)[0]
        self.assertEqual(self.browser.query(f'.flame [data-node="{node}"]', width)[0], whole)
        self.assertLess(before, whole)
        self.assertIn(f'{text_bytes(sums)} live', self.browser.query('#stacks .readout')[0])
        self.browser.run("document.querySelector('svg.flame').focus()")
        self.browser.key('Escape')
        self.assertEqual(self.browser.query(f'.flame [data-node="{node}"]', width)[0], before)
        # Keys alone: down twice, then Enter.
        self.browser.key('ArrowDown', 'ArrowDown')
        at = self.browser.query('.flame .at', 'Number(node.dataset.node)')[0]
        self.assertEqual(flame['parent'][flame['parent'][at]], 0)
        self.browser.key('Enter')
        self.assertEqual(self.browser.query(f'.flame [data-node="{at}"]', width)[0], whole)
        self.browser.click('#stacks .reset')
        for metric in flame['metrics']:
            self.browser.click(f"#stacks [data-key={metric['key']}]")
            widths = self.browser.query('.flame [data-node="0"]', width)
            self.assertEqual(len(widths), 1 if sum(metric['self']) else 0)

    def test_every_kind_of_snapshot_opens(self):
        pages = []
        for kind in 'hand-made', 'hostile', 'random', 'sites', 'sites-sampled', 'sites-by-thread', 'sites-random':
            path = f'{self.place}/{kind}.heap'
            subprocess.run([SNAPSHOT_MAKE, kind, path], check=True)
            for options in ([], ['--group', 'stack'], *([['--group', 'thread']] if kind == 'sites-by-thread' else [])):
                report(*options, '--html', path + '.html', path)
                self.open(path + '.html')
                self.assertEqual(len(self.browser.query('section')), 8)
                pages.append(path)
        self.assertEqual(len(pages), 15)

    def test_large_heap_opens_quickly(self):
        path = f'{self.place}/large.heap'
        subprocess.run([LARGE_MAKE, '40960', path], check=True)
        report('--html', path + '.html', path)
        self.assertLess(self.browser.open(path + '.html'), 10)
        self.assertIn('a cell 16 pages (64.0 KiB), because the heap is too large', self.browser.query('#map p')[0])

    def test_hostile_names(self):
        """Markup in the command line, the program's and a library's path, and a function's name."""
        directory = f'{self.place}/x<'
        os.makedirs(directory)
        program = f'{directory}/script><img src=x onerror=window.hit=1>'
        subprocess.run(['objcopy', '--strip-debug', '--redefine-sym', f'make_text={HOSTILE}', SWELL, program], check=True)
        path = run_program(program, 'all', f'{self.place}/hostile-names.heap', '8')
        file = Sections(path)
        file.replace(b'CMDL', HOSTILE.encode() + b'\0' + HOSTILE.encode() + b'\0')
        meta = file.payload(b'META')
        file.replace(b'META', meta[:24] + b'</script><b id=hit>'.ljust(24, b'\0') + meta[48:])
        file.write(path)
        made = Made(path)
        self.assertTrue(any(site['name'].startswith(HOSTILE[:40]) for site in made.json['sites']))
        self.open(made.page)
        shown = HOSTILE.replace('\u2028', '\\u{2028}')
        self.browser.click('#sites tr[data-place="0"] td.name button')
        self.assertEqual(self.browser.run('window.hit === undefined && document.images.length === 0 && document.scripts.length === 2 && '
                                          'document.getElementById("hit") === null'), True)
        self.assertIn(f'{shown} {shown}', self.browser.query('.subtitle code')[0])
        place = next(i for i, site in enumerate(made.json['sites']) if site['name'].startswith(HOSTILE[:40]))
        self.assertEqual(self.browser.query(f'#sites tr[data-place="{place}"] td.name')[0], made.json['sites'][place]['name'].replace('\u2028', '\\u{2028}'))
        self.assertIn('metadata: </script><b id=hit>', self.browser.query('#ledger td:first-child'))

    def test_policy_lets_nothing_else_run(self):
        self.open(self.made['all'].page)
        self.browser.run('''(() => { const script = document.createElement('script'); script.textContent = 'window.ran = 1'; document.body.append(script);
            const image = new Image(); image.src = 'http://127.0.0.1:9/x.png'; document.body.append(image); })()''')
        self.browser.settle()
        self.assertEqual(self.browser.run('window.ran === undefined'), True)
        self.assertEqual(len([error for error in self.browser.errors if 'Content Security Policy' in error]), 2, self.browser.errors)
        self.browser.errors, self.browser.requests = [], []

    def test_dark_and_printed(self):
        self.open(self.made['all'].page)
        colour = 'getComputedStyle(document.body).backgroundColor'
        light = self.browser.run(colour)
        picture = self.picture()
        self.browser.dark()
        self.assertNotEqual(self.browser.run(colour), light)
        self.assertNotEqual(self.picture(), picture)
        self.browser.dark(False)
        self.assertEqual(self.picture(), picture)
        self.browser.print(f'{self.place}/page.pdf')
        self.assertGreater(os.path.getsize(f'{self.place}/page.pdf'), 20000)


if __name__ == '__main__':
    sys.argv[1:] = sys.argv[6:]
    if 'Page' in sys.argv and not find_chromium():
        print('chromium is not installed')
        sys.exit(77)
    unittest.main()
