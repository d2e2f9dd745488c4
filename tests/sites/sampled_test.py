"""sites=sample is unbiased: the estimates of 50 seeded runs against what the program took, and their spread against
theory.

A block of b bytes is a sample with the probability p = 1 - exp(-b / rate) and stands for 1 / p blocks then, whatever
happens to others. So an estimate of bytes has the variance sum of (1 - p) / p * b^2 over the blocks. The mean over the
runs must lie within 4.5 standard errors of the truth, which chance exceeds once in 150,000 times, and the program takes
so many blocks that these are less than 1 %.

usage: sampled_test.py LIBRARY PROGRAM...
"""
import math
import sys
import unittest

from harness import WithPrograms

RUNS = 50
SIGMAS = 4.5
WITHIN = 0.01
UNIT = 1024


class Theory:
    """Of the sum of f(usable, requested) over blocks, one in p of which counts 1 / p times. fourth: the fourth cumulant."""

    def __init__(self, blocks, rate, value):
        self.truth = self.variance = self.fourth = self.variance_of_variance = self.rounding = self.passed = 0
        for usable, requested, count in blocks:
            p = -math.expm1(-usable / rate)
            each, spread = value(usable, requested), (1 - p) / p
            self.truth += count * each
            self.variance += count * spread * each**2
            self.fourth += count * spread * (1 - 6 * p * (1 - p)) / p**2 * each**4
            # What each sample adds to the variance that the file tells is (1 - p) / p^2 * each^2.
            self.variance_of_variance += count * p * (1 - p) * ((1 - p) / p**2 * each**2)**2
            self.passed += count * (1 - p)
            # The recorder counts in whole bytes, and in 1/1024 block.
            self.rounding += count * p * (0.5 / UNIT if each == 1 else 0.5)


def blocks_of(_usable, _requested):
    return 1


def bytes_of(usable, _requested):
    return usable


def requested_of(_usable, requested):
    return requested


def requested_of_cell(usable, requested):
    """The cell of a block keeps what was not asked for; that of a span in units of 256 bytes."""
    return requested if usable <= 32768 else usable - (usable - requested) // 256 * 256


FIGURES = (('allocated_blocks', 'allocated', blocks_of, None),
           ('allocated_bytes', 'allocated', bytes_of, 'allocated_bytes_variance'),
           ('allocated_requested', 'allocated', requested_of, None),
           ('live_blocks', 'live', blocks_of, 'live_blocks_variance'),
           ('live_bytes', 'live', bytes_of, 'live_bytes_variance'),
           ('live_requested', 'live', requested_of_cell, None))


class Sampled(WithPrograms):
    def check(self, case, rate, rate_bytes, expected_sites):
        off = {}  # (site, figure): per run (estimate, what the file says of its variance, theory)
        for seed in range(1, RUNS + 1):
            run = self.run_program('sites_sampled', case, settings=f'sites=sample,rate={rate},seed={seed}')
            snapshot = run.snapshots[0]
            self.assertEqual(snapshot.recording.rate, rate_bytes)
            self.assertEqual((snapshot.recording.missed, snapshot.inconsistencies), (0, 0))
            sites = snapshot.by_function()
            taken = {}
            for name, what, *numbers in run.said('site'):
                taken.setdefault((name, what), []).append(tuple(map(int, numbers)))
            self.assertEqual({name for name, _ in taken}, expected_sites)
            for name in expected_sites:
                self.assertLessEqual(sites[name].live_samples, sites[name].samples)
                for figure, what, value, variance in FIGURES:
                    off.setdefault((name, figure), []).append(
                        (getattr(sites[name], figure), getattr(sites[name], variance) if variance else None,
                         Theory(taken[name, what], rate_bytes, value)))
        wrong = [line for key, runs in off.items() for line in self.judge(*key, runs)]
        self.assertFalse(wrong, '\n'.join(wrong))

    def judge(self, name, figure, runs):
        """Lines of what is wrong."""
        truth = sum(theory.truth for _, _, theory in runs)
        variance = sum(theory.variance for _, _, theory in runs)
        rounding = sum(theory.rounding for _, _, theory in runs)
        error = sum(estimate - theory.truth for estimate, _, theory in runs)
        bound = SIGMAS * math.sqrt(variance)
        if bound > WITHIN * truth:
            yield f'{name} {figure}: {bound / truth:.2%} of the truth could be chance; too few blocks for a test'
        if abs(error) > bound + rounding:
            yield f'{name} {figure}: the mean is off by {error / truth:+.3%}, more than {(bound + rounding) / truth:.3%}'
        if sum(theory.passed for _, _, theory in runs) < 1000:
            return  # nearly every block is a sample: there is no spread to speak of
        squares = sum((estimate - theory.truth)**2 for estimate, _, theory in runs)
        sigma = math.sqrt(sum(theory.fourth + 2 * theory.variance**2 for _, _, theory in runs))
        if abs(squares - variance) > SIGMAS * sigma:
            yield f'{name} {figure}: the squares of the errors are {squares / variance:.2f} of what they should be'
        if runs[0][1] is not None:
            said = sum(told for _, told, _ in runs)
            sigma = math.sqrt(sum(theory.variance_of_variance for _, _, theory in runs))
            if abs(said - variance) > SIGMAS * sigma + 1e-9 * variance:
                yield f'{name} {figure}: the variance that the file tells is {said / variance:.3f} of what it is'

    def test_pools(self):
        self.check('pools', '4K', 4096, {'at_small', 'at_middle', 'at_half', 'at_warm', 'at_mix', 'at_given'})

    def test_large(self):
        self.check('large', '128K', 128 * 1024, {'at_huge', 'at_large', 'at_span', 'at_grown'})

    def test_seed_repeats_a_run(self):
        """The same seed, the same samples; another one, others."""
        def run(seed):
            snapshot = self.run_program('sites_sampled', 'large', settings=f'sites=sample,seed={seed}').snapshots[0]
            return {name: site.samples for name, site in snapshot.by_function().items() if name}

        self.assertEqual(run(7), run(7))
        self.assertNotEqual(run(7), run(8))


if __name__ == '__main__':
    unittest.main(argv=sys.argv[:1])
