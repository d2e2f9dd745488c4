"""Who holds what: HELD and SETS of a program with three known pinning sites, against a computation from the addresses that
it prints itself: which of its blocks reach into which page.

With sites=all every page is charged, and the figures must be these exactly. While samples are taken this is known of
some pages, chosen at random: of these the figures must be exact, too, and what is estimated from them must be right in
the mean over many seeds, and spread as choosing at random makes it.

usage: held_test.py LIBRARY PROGRAM...
"""
import collections
import math
import sys
import unittest

from harness import WithPrograms
from snapshot_file import CHOSEN, PAGE

SIZES = (144, 208, 2048, 3072)  # blocks that the program's requests get
RUNS = 40
SIGMAS = 4.5
WHATS = ('share', 'alone')
SITES = ('at_first', 'at_second', 'at_third')
SITES_208 = {('share', 'at_first', 208), ('share', 'at_second', 208), ('alone', 'at_first', 208)}


class Page:
    """A page with live blocks of the program: whose, and how much of it is free."""

    def __init__(self):
        self.sites = []  # of the blocks that reach into it, by address
        self.live_bytes = 0

    def shares(self):
        """Free bytes that each site is charged: the same for each block, remainders to the first ones."""
        each, more = divmod(PAGE - self.live_bytes, len(self.sites))
        shares = {}
        for i, site in enumerate(self.sites):
            shares[site] = shares.get(site, 0) + each + (i < more)
        return shares


class Truth:
    """What the program's list of live blocks says, by page."""

    def __init__(self, test, run):
        self.snapshot = run.snapshots[0]
        self.names = self.snapshot.functions()
        pools = {pool.base: pool for pool in self.snapshot.pools
                 if self.snapshot.classes[pool.size_class].size in SIZES}
        self.pages = collections.defaultdict(Page)  # by (base of the pool, number)
        sizes = {base: self.snapshot.classes[pool.size_class].size for base, pool in pools.items()}
        live = collections.Counter()
        for address, name in sorted((int(address), name) for name, address in run.said('live')):
            base, start = address & ~0xffff, address & 0xffff
            end = start + sizes[base]
            live[base] += 1
            while start < end:
                page = self.pages[base, start // PAGE]
                part = min(end, (start // PAGE + 1) * PAGE) - start
                page.sites.append(name)
                page.live_bytes += part
                start += part
        # Nobody else has blocks there.
        test.assertEqual({base: pool.live for base, pool in pools.items() if pool.live}, live)
        for (base, number), page in self.pages.items():
            first = pools[base].first_page
            if pools[base].live < self.snapshot.classes[pools[base].size_class].capacity:
                test.assertEqual(self.snapshot.pages[first + number], (len(page.sites), page.live_bytes))
        self.pools, self.sizes = pools, sizes

    def held(self, pages):
        """{(site, block size): [bytes, pages, blocks]} of these pages."""
        sums = collections.defaultdict(lambda: [0, 0, 0])
        for base, number in pages:
            size, page = self.sizes[base], self.pages[base, number]
            if page.live_bytes == PAGE:
                continue
            for site, share in page.shares().items():
                entry = sums[site, size]
                entry[0] += share
                entry[1] += 1
                entry[2] += page.sites.count(site)
        return dict(sums)

    def sets(self, pages):
        """{(sites, block size): [pages, resident bytes, held bytes]}."""
        sums = collections.defaultdict(lambda: [0, 0, 0])
        for base, number in pages:
            page = self.pages[base, number]
            entry = sums[frozenset(page.sites), self.sizes[base]]
            entry[0] += 1
            entry[1] += PAGE
            entry[2] += PAGE - page.live_bytes
        return dict(sums)

    def held_in_file(self):
        sums = collections.defaultdict(lambda: [0, 0, 0])
        for record in self.snapshot.held:
            size = self.snapshot.classes[record.size_class].size
            if size in SIZES:
                entry = sums[self.names.get(record.site), size]
                for i, more in enumerate((record.share, record.pages, record.blocks)):
                    entry[i] += more
        return dict(sums)

    def sets_in_file(self):
        sums = collections.defaultdict(lambda: [0, 0, 0])
        for sites, size_class, _, *figures in self.snapshot.sets:
            size = self.snapshot.classes[size_class].size
            if size in SIZES:
                entry = sums[frozenset(self.names.get(site) for site in sites), size]
                for i, more in enumerate(figures):
                    entry[i] += more
        return dict(sums)


class HeldMemory(WithPrograms):
    def test_all(self):
        run = self.run_program('sites_held', settings='sites=all')
        truth = Truth(self, run)
        snapshot = truth.snapshot
        held = truth.held_in_file()
        # A function may be several sites: then a page counts for each, and only bytes and blocks add up.
        self.assertEqual(held, truth.held(truth.pages))
        self.assertEqual(truth.sets_in_file(), truth.sets(truth.pages))
        self.assertEqual({site for site, _ in held}, {'at_first', 'at_second', 'at_third'})
        # All that is pinned is charged to somebody.
        self.assertEqual(sum(record.share for record in snapshot.held), sum(map(snapshot.pinned, snapshot.pools)))
        self.assertEqual(sum(record[5] for record in snapshot.sets), sum(map(snapshot.pinned, snapshot.pools)))
        self.assertEqual((snapshot.recording.one_in, snapshot.recording.groups), (1, 1))

    def test_fixing_gives_back_what_the_sets_say(self):
        """What at_first holds alone comes back when it keeps nothing, within 5 %: the pages whose every block is its."""
        before = self.run_program('sites_held', settings='sites=all')
        snapshot = before.snapshots[0]
        names = snapshot.functions()
        shares, alone = collections.Counter(), collections.Counter()
        for record in snapshot.held:
            shares[names.get(record.site)] += record.share
        for sites, _, _, _, resident, _ in snapshot.sets:
            owners = {names.get(site) for site in sites or ()}
            if len(owners) == 1:
                alone[owners.pop()] += resident
        self.assertEqual(shares.most_common(1)[0][0], 'at_first')
        self.assertGreater(alone['at_first'], 10 << 20)
        rss = [int(self.run_program('sites_held', *option, settings='sites=off').said('rss')[0][0])
               for option in ((), ('fix',))]
        self.assertAlmostEqual((rss[0] - rss[1]) / alone['at_first'], 1, delta=0.05, msg=(rss, alone))

    def test_chosen_pages(self):
        self.check_chosen_pages((), SITES_208 | {(what, site, 144) for what in WHATS for site in SITES})

    def test_chosen_pages_of_warm_blocks(self):
        """A block that is handed out again while it is warm is no rarer on a chosen page."""
        self.check_chosen_pages(('warm',), {(what, site, 2048) for what in WHATS for site in SITES})

    def check_chosen_pages(self, arguments, known):
        """known: what is to be known well enough to be judged."""
        off = collections.defaultdict(list)  # (what, site, size): per run (estimate, truth, its variance)
        chosen_pools = eligible_pools = 0
        for seed in range(1, RUNS + 1):
            run = self.run_program('sites_held', *arguments, settings=f'sites=sample,rate=256K,seed={seed}')
            truth = Truth(self, run)
            recording = truth.snapshot.recording
            eligible = {base: pool for base, pool in truth.pools.items() if pool.identity and pool.live}
            chosen = {(base, pool.chosen_page) for base, pool in eligible.items() if pool.identity == CHOSEN}
            charged = [page for page in truth.pages if page in chosen]
            self.assertEqual(truth.held_in_file(), truth.held(charged), seed)
            self.assertEqual(truth.sets_in_file(), truth.sets(charged), seed)
            self.assertTrue(all(record.group < recording.groups for record in truth.snapshot.held))
            chosen_pools += len(chosen)
            eligible_pools += len(eligible)
            self.gather(off, truth, eligible, set(charged))
        # Every pool with the same probability.
        p = 1 / recording.one_in
        self.assertLess(abs(chosen_pools - eligible_pools * p), SIGMAS * math.sqrt(eligible_pools * p * (1 - p)))
        judged = {key: self.judge(runs) for key, runs in sorted(off.items())}
        # Of the rest too few pages are chosen.
        judged = {key: (error, bound) for key, (error, bound) in judged.items() if bound < 0.4}
        self.assertLessEqual(known, set(judged))
        wrong = [f'{key}: the mean is off by {error:+.1%}, more than {bound:.1%}'
                 for key, (error, bound) in judged.items() if abs(error) > bound]
        self.assertFalse(wrong, '\n'.join(wrong))

    @staticmethod
    def gather(off, truth, eligible, charged):
        """What each site is charged, and holds alone, by size: from the charged pages and from all."""
        sums = collections.defaultdict(lambda: [0, 0, 0])  # estimate, truth, variance
        of_pools = collections.defaultdict(lambda: collections.defaultdict(lambda: [0, 0]))
        for (base, number), page in truth.pages.items():
            if base not in eligible:
                continue
            size, weight = truth.sizes[base], truth.snapshot.recording.one_in * eligible[base].pages
            figures = [(('share', site, size), share) for site, share in page.shares().items()]
            if len(set(page.sites)) == 1:
                figures.append((('alone', page.sites[0], size), PAGE))
            for key, value in figures:
                entry = of_pools[key][base]
                entry[0] += value
                entry[1] += weight * value**2
                if (base, number) in charged:
                    sums[key][0] += weight * value
        for key, pools in of_pools.items():
            sums[key][1] = sum(total for total, _ in pools.values())
            # Of a pool one page at most is chosen, each with the probability 1 / weight.
            sums[key][2] = sum(squares - total**2 for total, squares in pools.values())
        for key, values in sums.items():
            off[key].append(values)

    @staticmethod
    def judge(runs):
        """The error of the mean as a part of the truth, and what may be chance of that."""
        truth = sum(known for _, known, _ in runs)
        error = sum(estimate - known for estimate, known, _ in runs)
        return error / truth, SIGMAS * math.sqrt(sum(variance for _, _, variance in runs)) / truth


if __name__ == '__main__':
    unittest.main(argv=sys.argv[:1])
