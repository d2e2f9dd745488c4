"""The JSON of real snapshots is as profiler/format/report.schema.json says, in every way that sites are recorded and grouped;
and the schema tells of every key that is written. What would break who relies on it, it refuses.

usage: schema_test.py TIDEMARK LIBRARY PROGRAM SCHEMA
"""
import copy
import json
import sys
import unittest

from harness import SKIP, TIDEMARK, run, snapshot

try:
    import jsonschema
except ImportError:
    print('skipped: there is no validator (Debian package python3-jsonschema)')
    sys.exit(SKIP)

with open(sys.argv[4], encoding='utf-8') as schema_file:
    SCHEMA = json.load(schema_file)


def closed(schema):
    """The same where every object has only the keys that are told."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result = {key: closed(value) for key, value in schema.items()}
    if schema.get('type') == 'object':
        result['additionalProperties'] = False
    return result


OPEN = jsonschema.Draft202012Validator(SCHEMA)
CLOSED = jsonschema.Draft202012Validator(closed(SCHEMA))


class Schema(unittest.TestCase):
    def report(self, path, *options):
        return json.loads(run(TIDEMARK, 'report', '--json', *options, path).stdout)

    def test_schema_is_one(self):
        jsonschema.Draft202012Validator.check_schema(SCHEMA)

    def test_real_snapshots(self):
        groups = ['stack', 'function', 'line', 'file', 'library']
        for settings, groupings in [('sites=off', ['function']), ('sites=all', groups),
                                    ('sites=sample,rate=64K,seed=7', groups), ('sites=all,threads=yes', ['thread', 'stack'])]:
            path = snapshot(settings)
            for grouping in groupings:
                report = self.report(path, '--group', grouping)
                with self.subTest(settings=settings, grouping=grouping):
                    CLOSED.validate(report)
                    self.assertEqual(len(report['sites']) > 1, settings != 'sites=off')

    def test_a_program_with_many_kinds_of_memory(self):
        path = snapshot('sites=sample,rate=64K', sys.executable, '-c', 'import json, threading; json.loads("[1]")')
        CLOSED.validate(self.report(path))
        CLOSED.validate(self.report(path, '--by', 'allocated', '--group', 'line'))

    def test_what_breaks_a_reader_is_refused(self):
        good = self.report(snapshot('sites=all'))
        OPEN.validate(good)
        for change in [lambda report: report.pop('rss_bytes'),
                       lambda report: report.update(rss_bytes=1.5),
                       lambda report: report['ledger'].pop(),
                       lambda report: report['ledger'][0].update(group='other'),
                       lambda report: report['sites'][0].pop('held_share'),
                       lambda report: report['sites'][0]['live'].update(exact=False),
                       lambda report: report['sites'][0]['frames'][0].update(address=1),
                       lambda report: report['recording'].pop('sites'),
                       lambda report: report['spans'].pop()]:
            bad = copy.deepcopy(good)
            change(bad)
            self.assertFalse(OPEN.is_valid(bad))
        more = copy.deepcopy(good)
        more['a_new_key'] = more['sites'][0]['another'] = 1
        self.assertTrue(OPEN.is_valid(more))
        self.assertFalse(CLOSED.is_valid(more))


if __name__ == '__main__':
    unittest.main(argv=sys.argv[:1])
