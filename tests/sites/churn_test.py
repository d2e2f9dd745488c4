"""Snapshots in the middle of what four threads do: the files are whole, what the sites have live is what the program has,
but for the blocks that threads are at, and afterwards nothing is left.

usage: churn_test.py LIBRARY PROGRAM...
"""
import math
import sys
import unittest

from harness import WithPrograms

THREADS, SLOTS, SPANS = 4, 2000, 20
# Live blocks at any instant: least, most. A block is taken out of the records before it is free, and recorded when it is
# the program's.
BOUNDS = {
    'at_small': (THREADS * (SLOTS - 1), THREADS * SLOTS),
    'at_warm': (THREADS * (SLOTS - 1), THREADS * SLOTS),
    'at_span': (THREADS * (SPANS - 1), THREADS * SPANS),
    'at_resized': (THREADS * (SPANS - 1), THREADS * SPANS),
    'at_shared': (SLOTS, SLOTS + THREADS),  # here the new one comes first
}
BLOCKS = {'at_small': 112, 'at_warm': 3072, 'at_span': 102400, 'at_shared': 256}


class Churn(WithPrograms):
    def check_end(self, snapshot):
        self.assertEqual(snapshot.inconsistencies, 0)
        sites = snapshot.by_function()
        for name in BOUNDS:
            site = sites[name]
            self.assertEqual((site.live_samples, site.live_blocks, site.live_bytes), (0, 0, 0), name)
            self.assertAlmostEqual(sum(site.ended_blocks) / site.allocated_blocks, 1, delta=1e-9, msg=name)

    def test_all(self):
        *middle, end = self.run_program('sites_churn', settings='sites=all').snapshots
        self.assertEqual(len(middle), 6)
        before = dict.fromkeys(BOUNDS, 0)
        for snapshot in middle:
            sites = snapshot.by_function()
            for name, (least, most) in BOUNDS.items():
                site = sites[name]
                self.assertTrue(least <= site.live_blocks <= most, (name, site.live_blocks, least, most))
                if name in BLOCKS:
                    self.assertEqual(site.live_bytes, site.live_blocks * BLOCKS[name], name)
                self.assertGreater(site.samples, before[name], name)
                before[name] = site.samples
                # What was allocated and has not ended is live; threads may be between the two.
                self.assertLessEqual(abs(site.allocated_blocks - sum(site.ended_blocks) - site.live_blocks), THREADS, name)
            self.assertEqual(snapshot.recording.missed, 0)
            held, pinned = sum(record.share for record in snapshot.held), sum(map(snapshot.pinned, snapshot.pools))
            self.assertLessEqual(held, pinned)  # a page may be taken and not touched yet
            self.assertGreater(held, 0.98 * pinned)
            # Each operation that is under way may contradict itself once, and four threads have one each.
            self.assertLessEqual(snapshot.inconsistencies, 4 * THREADS)
        # Sites as they were at the highest point: nearly all of each.
        for name, (least, most) in BOUNDS.items():
            self.assertTrue(0.9 * least <= end.by_function()[name].peak_blocks <= most, name)
        peaks = sum(site.peak_bytes for site in end.sites)
        # A thread tells what it changed in steps of 1/8192.
        self.assertAlmostEqual(peaks / end.recording.peak, 1, delta=0.005)
        self.check_end(end)

    def test_sample(self):
        *middle, end = self.run_program('sites_churn', settings='sites=sample,rate=16K,seed=1').snapshots
        for snapshot in middle:
            sites = snapshot.by_function()
            for name, size in BLOCKS.items():
                p = -math.expm1(-size / 16384)
                least, most = BOUNDS[name]
                slack = 5 * math.sqrt(most * (1 - p) / p)
                self.assertTrue(least - slack <= sites[name].live_blocks <= most + slack, (name, sites[name].live_blocks))
        self.check_end(end)


if __name__ == '__main__':
    unittest.main(argv=sys.argv[:1])
