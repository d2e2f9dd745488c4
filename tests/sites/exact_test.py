"""sites=all is exact: what each call site of a program allocated, has live, had at the highest point, and how long it
lived, against counts made by hand from the program's text.

usage: exact_test.py LIBRARY PROGRAM...
"""
import sys
import unittest

from harness import WithPrograms
from snapshot_file import PAGE, SITE_FIELDS, TRUNCATED

MIB = 1 << 20
LIFETIMES_MS = [32, 320, 3200, 32000]
CLOCKS_MS = 24  # what the clocks that lifetimes are measured with are off by: a tick of 4 to 10 ms, and 16 of births


def usable(size):
    """Bytes of the block that serves a request, as the allocator's README tells: multiples of 16 up to 256, eight sizes
    for each doubling up to 32 KiB, then pages."""
    if size <= 256:
        return max(16, (size + 15) // 16 * 16)
    if size <= 32768:
        step = 1 << ((size - 1).bit_length() - 4)
        return (size + step - 1) // step * step
    return (size + PAGE - 1) // PAGE * PAGE


def size_step(size):
    step = 0
    while step < 15 and size > 16 << step:
        step += 1
    return step


def requested_of_live(block, request):
    """The cell of a block keeps what was not asked for; that of a span in units of 256 bytes."""
    return request if block <= 32768 else block - (block - request) // 256 * 256


def step_of(milliseconds):
    return sum(milliseconds > end for end in LIFETIMES_MS)


class Lot:
    """So many blocks of one size: requested, usable."""

    def __init__(self, count, request, block=None):
        self.count, self.request, self.block = count, request, block or usable(request)


class Exact(WithPrograms):
    def run_exact(self, case, more=''):
        return self.run_program('sites_exact', case, settings='sites=all' + more)

    def check_site(self, site, allocated, live, what):
        """site: sums of a snapshot; allocated, live: lists of lots."""
        sums = {
            'samples': sum(lot.count for lot in allocated),
            'allocated_blocks': sum(lot.count for lot in allocated),
            'allocated_bytes': sum(lot.count * lot.block for lot in allocated),
            'allocated_requested': sum(lot.count * lot.request for lot in allocated),
            'allocated_bytes_variance': 0,
            'live_samples': sum(lot.count for lot in live),
            'live_blocks': sum(lot.count for lot in live),
            'live_bytes': sum(lot.count * lot.block for lot in live),
            'live_requested': sum(lot.count * requested_of_live(lot.block, lot.request) for lot in live),
            'live_blocks_variance': 0,
            'live_bytes_variance': 0,
            'span_bytes': sum(lot.count * lot.block for lot in live if lot.block > 32768),
        }
        self.assertEqual({name: getattr(site, name) for name in sums}, sums, what)
        steps = [0] * 16
        for lot in allocated:
            steps[size_step(lot.request)] += lot.count
        self.assertEqual(site.size_samples, steps, what)
        self.assertEqual(sum(site.ended_blocks), sums['allocated_blocks'] - sums['live_blocks'], what)
        self.assertEqual(sum(site.born_blocks), sums['live_blocks'], what)

    def check_whole(self, run):
        """What no site has is what was allocated before anything was recorded: the same in all snapshots."""
        missing = set()
        for snapshot in run.snapshots:
            blocks, size = snapshot.live()
            missing.add((blocks - sum(site.live_blocks for site in snapshot.sites),
                         size - sum(site.live_bytes for site in snapshot.sites)))
            self.assertEqual(snapshot.inconsistencies, 0)
            self.assertEqual(snapshot.recording.missed, 0)
        self.assertEqual(len(missing), 1, missing)

    def test_kinds(self):
        run = self.run_exact('kinds')
        nothing, everything, halved, freed = run.snapshots
        grown = int(run.said('grown')[0][0])
        self.assertIn(grown, (200704, 253952))  # in place, or moved with a quarter of room
        mapping = Lot(1, 10 * MIB)
        kinds = {  # function: what it allocated, and what of that is live, if not all
            'at_malloc': ([Lot(1000, 100, 112)],),
            'at_calloc': ([Lot(3, 300, 320)],),
            'at_start': ([Lot(9, 100, 112), Lot(1, 1000, 1024), Lot(1, 40000, 40960), Lot(1, 200000, 200704),
                          Lot(1, 60000, 61440), *[mapping] * 4], [Lot(4, 100, 112)]),
            'at_grow': ([Lot(5, 1000, 1024)],),
            'at_shrink': ([Lot(1, 100, 112)],),
            'at_span': ([Lot(6, 40000, 40960)],),
            'at_span_grow': ([Lot(1, 200000, grown)],),
            'at_span_shrink': ([Lot(1, 60000, 61440)],),
            'at_span_to_pool': ([Lot(1, 20000, 20480)],),
            'at_mapping': ([mapping],),
            'at_mapping_grow': ([Lot(1, 20 * MIB)],),
            'at_mapping_shrink': ([Lot(2, 5 * MIB)],),  # of which one was to shrink to 3 MiB, and stayed
            'at_mapping_to_span': ([Lot(1, 2 * MIB)],),
            'at_reallocarray': ([Lot(7, 1000, 1024)],),
            'at_aligned_alloc': ([Lot(2, 200, 256)],),
            'at_posix_memalign': ([Lot(3, 300, 512)],),
            'at_memalign': ([Lot(1, 5000, 8192)],),
            'at_memalign_span': ([Lot(1, 1000, 4096)],),
            'at_valloc': ([Lot(1, 3000, 4096)],),
            'at_strdup': ([Lot(2, 32, 32)],),
            'at_zero': ([Lot(1, 0, 16)],),
        }
        self.check_whole(run)
        self.assertFalse([name for name in nothing.by_function() if name and name.startswith('at_')])
        sites = everything.by_function()
        self.assertEqual({name for name in sites if name and name.startswith('at_')}, set(kinds))
        for name, lots in kinds.items():
            if name == 'at_memalign_span':  # a span that is no larger than blocks of pools are
                self.assertEqual((sites[name].allocated_blocks, sites[name].live_bytes, sites[name].live_requested,
                                  sites[name].span_bytes), (1, 4096, 1000, 4096))
                continue
            self.check_site(sites[name], lots[0], lots[-1], name)
        # Each was freed, by realloc, before anything else was allocated.
        self.assertEqual(sites['at_start'].temporary_blocks, 13)
        self.assertEqual(sum(site.temporary_blocks for name, site in sites.items() if name in kinds), 13)

        sites = halved.by_function()
        self.check_site(sites['at_malloc'], [Lot(1000, 100)], [Lot(500, 100)], 'halved')
        sites = freed.by_function()
        for name, lots in kinds.items():
            if name != 'at_memalign_span':
                self.check_site(sites[name], lots[0], [], name)
            self.assertEqual(sites[name].live_blocks, 0, name)
            self.assertEqual(sum(sites[name].ended_blocks), sites[name].allocated_blocks, name)
        self.assertEqual(sites['at_zero'].temporary_blocks, 1)  # it was the last that was allocated

    def test_whole_stacks(self):
        """Each stack leads to main and beyond, and no stack was shortened."""
        snapshot = self.run_exact('kinds').snapshots[1]
        self.assertEqual((snapshot.recording.shortened, snapshot.recording.truncated), (0, 0))
        for site in snapshot.sites:
            name = snapshot.function(site)
            if name and name.startswith('at_'):
                stack = [snapshot.symbols.name(address - snapshot.base) for address, flags in snapshot.stack(site.frame)
                         if not flags & TRUNCATED]
                self.assertIn('kinds', stack)
                self.assertIn('main', stack)

    def test_temporary(self):
        sites = self.run_exact('temporary').snapshots[0].by_function()
        self.assertEqual(sites['at_temporary'].temporary_blocks, 1000)
        self.assertEqual(sites['at_not_temporary'].temporary_blocks, 0)
        self.assertEqual(sites['at_freed_elsewhere'].temporary_blocks, 0)
        for name, count in ('at_temporary', 1000), ('at_not_temporary', 500), ('at_freed_elsewhere', 5):
            self.check_site(sites[name], [Lot(count, 50, 64)], [], name)

    def test_lifetimes(self):
        """The program says between which bounds the blocks of each batch lived; the steps allow for the clocks."""
        run = self.run_exact('lifetimes')
        snapshot = run.snapshots[0]
        self.assertEqual([end // 10**6 for end in snapshot.recording.lifetimes[:4]], LIFETIMES_MS)
        self.assertEqual(snapshot.recording.lifetimes[7], 2**64 - 1)
        sites = snapshot.by_function()
        least, most = [0] * 8, [0] * 8  # blocks that ended in this step surely, and that may have
        for count, low, high in run.said('batch'):
            first = step_of(max(0, float(low) - CLOCKS_MS))
            last = step_of(float(high) + CLOCKS_MS)
            for step in range(first, last + 1):
                most[step] += int(count)
                least[step] += int(count) if first == last else 0
        ended = [a + b for a, b in zip(sites['at_lived'].ended_blocks, sites['at_lived_span'].ended_blocks)]
        self.assertEqual(sum(ended), 300)
        self.assertEqual(sum(sites['at_lived_span'].ended_blocks), 3)
        for step in range(8):
            self.assertTrue(least[step] <= ended[step] <= most[step], (least, ended, most, run.lines))
        # The survivor was the last, 100 ms before the snapshot.
        self.assertEqual(sites['at_lived'].live_blocks, 1)
        self.assertEqual(sites['at_lived'].oldest_ns, sites['at_lived'].youngest_ns)
        taken = snapshot.records('PROC', 'iiIIIIQQ')[0][7]
        age = (taken - sites['at_lived'].oldest_ns) / 1e6
        self.assertGreater(age, 100 - CLOCKS_MS)
        self.assertLess(age, float(run.said('age')[0][0]) + CLOCKS_MS)

    def test_peak(self):
        at_height, later, higher = self.run_exact('peak').snapshots

        def peaks(snapshot):
            # The sites add up to the height, all of them.
            self.assertEqual(sum(site.peak_bytes for site in snapshot.sites), snapshot.recording.peak)
            sites = snapshot.by_function()
            return [(sites[name].peak_blocks, sites[name].peak_bytes) for name in ('at_first', 'at_second', 'at_third')]

        span = 100 * 1024
        expected = [(0, 0), (1000, 1000 * 2048), (30, 30 * span)]
        self.assertEqual(peaks(at_height), expected)
        self.assertEqual(peaks(later), expected)
        self.assertEqual(later.recording.peak_ns, at_height.recording.peak_ns)
        # 15 are left of the 30, and 60 more came.
        self.assertEqual(peaks(higher), [(1000, 1000 * 1024), (0, 0), (75, 75 * span)])
        self.assertGreaterEqual(higher.recording.peak_ns, later.recording.peak_ns)

    def test_threads(self):
        run = self.run_exact('threads')
        self.check_whole(run)
        ended, freed = (snapshot.by_function() for snapshot in run.snapshots)
        for name, sites, live in (('at the end of the threads', ended, 700), ('afterwards', freed, 0)):
            self.check_site(sites['at_thread_small'], [Lot(1000, 64, 64)], [Lot(live, 64)], name)
            self.check_site(sites['at_thread_large'], [Lot(1, 100000, 102400)], [Lot(int(live > 0), 100000)], name)
            self.check_site(sites['at_thread_mapping'], [Lot(1, 9 * MIB)], [Lot(int(live > 0), 9 * MIB)], name)
            self.check_site(sites['at_every_thread'], [Lot(61, 640)], [Lot(61, 640)], name)

    def test_by_thread(self):
        """Blocks count for the thread that allocated them, whoever frees them."""
        run = self.run_exact('threads', ',threads=yes')
        snapshot = run.snapshots[1]
        threads = {name: int(tid) for name, tid in run.said('thread')}
        self.assertEqual(len(set(threads.values())), 4)
        self.assertEqual(snapshot.recording.by_thread, 1)
        sites = snapshot.by_function(lambda site: (snapshot.function(site), snapshot.thread(site)))
        for name, count in ('main', 1), ('large', 10), ('mapping', 20), ('allocates', 30):
            self.check_site(sites['at_every_thread', threads[name]], [Lot(count, 640)], [Lot(count, 640)], name)
        self.check_site(sites['at_thread_small', threads['allocates']], [Lot(1000, 64)], [], 'small')
        self.assertEqual({thread for name, thread in sites if name == 'at_thread_small'}, {threads['allocates']})
        self.assertNotIn(None, {snapshot.thread(site) for site in snapshot.sites if site.samples})

    def test_not_by_thread(self):
        snapshot = self.run_exact('threads').snapshots[1]
        self.assertEqual(snapshot.recording.by_thread, 0)
        self.assertEqual({snapshot.thread(site) for site in snapshot.sites}, {None})

    def test_switching(self):
        """Blocks that were recorded are taken out when they are freed, whatever is recorded by then; blocks that were
        not are not missed."""
        run = self.run_program('sites_exact', 'switching', settings='sites=off,rate=4K,seed=1')
        off, again, last, end = run.snapshots
        self.assertEqual([snapshot.recording.sites for snapshot in run.snapshots], [0, 2, 2, 0])
        self.assertEqual([snapshot.recording.until != 0 for snapshot in run.snapshots], [True, False, False, True])

        def lots(count):
            return [Lot(count // 3, 48), Lot(count // 3, 2000, 2048), Lot(count // 3, 70000, 73728)]

        for snapshot, recorded, more in ((off, 60, {}), (again, 30, {'at_again': 90}),
                                         (last, 0, {'at_again': 30, 'at_last': 90}),
                                         (end, 0, {'at_again': 0, 'at_last': 0})):
            sites = snapshot.by_function()
            self.check_site(sites['at_recorded'], lots(90), lots(recorded), recorded)
            for name, live in more.items():
                self.check_site(sites[name], lots(90), lots(live), name)
            for name in 'at_before', 'at_off':
                self.assertTrue(name not in sites or sites[name].samples == 0, name)
        sampled = end.by_function()['at_sampled']
        self.assertGreater(sampled.samples, 0)
        self.assertEqual((sampled.live_samples, sampled.live_bytes), (0, 0))
        self.assertAlmostEqual(sum(sampled.ended_blocks), sampled.allocated_blocks)

    def test_operators(self):
        everything, half, nothing = self.run_program('sites_operators', settings='sites=all').snapshots
        kinds = {'at_new': Lot(10, 100, 112), 'at_new_array': Lot(10, 100, 112), 'at_new_nothrow': Lot(10, 100, 112),
                 'at_new_array_nothrow': Lot(10, 100, 112), 'at_new_aligned': Lot(10, 300, 384),
                 'at_new_array_aligned': Lot(10, 300, 384), 'at_new_aligned_nothrow': Lot(10, 300, 384),
                 'at_new_array_aligned_nothrow': Lot(10, 300, 384), 'at_new_large': Lot(10, 50000, 53248),
                 'at_new_large_nothrow': Lot(10, 50000, 53248), 'at_new_large_array': Lot(10, 9 * MIB)}
        for snapshot, live in (everything, 10), (half, 5), (nothing, 0):
            sites = snapshot.by_function()
            for name, lot in kinds.items():
                self.check_site(sites[name], [lot], [Lot(live, lot.request, lot.block)], (name, live))

    def test_record_is_whole(self):
        """The fields that are read here are those of the record."""
        snapshot = self.run_exact('temporary').snapshots[0]
        self.assertEqual(snapshot.sections['SITE'][0], 408)
        self.assertEqual(len(SITE_FIELDS), 23)


if __name__ == '__main__':
    unittest.main(argv=sys.argv[:1])
