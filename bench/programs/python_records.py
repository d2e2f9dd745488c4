"""Records: builds dicts, writes them as JSON, reads them back, groups and sorts them. Prints sums.
The argument multiplies the work.
"""

import json
import random
import sys


def record(generator, number):
    return {
        "id": number,
        "name": f"customer {generator.randrange(5000)}",
        "tags": [f"tag{generator.randrange(300)}" for _ in range(generator.randrange(1, 6))],
        "address": {"street": f"{generator.randrange(400)} Long Street", "city": f"City {generator.randrange(200)}"},
        "amounts": [generator.randrange(100000) / 100 for _ in range(generator.randrange(1, 8))],
    }


def main():
    generator = random.Random(1)
    total, groups = 0, {}
    for part in range(round(12 * float(sys.argv[1]))):
        text = json.dumps([record(generator, part * 5000 + number) for number in range(5000)])
        total += len(text)
        for entry in json.loads(text):
            groups.setdefault(entry["address"]["city"], []).append(entry)
    by_tag = {}
    for city in sorted(groups):
        for entry in sorted(groups[city], key=lambda one: (one["name"], one["id"])):
            for tag in entry["tags"]:
                count, amount = by_tag.get(tag, (0, 0.0))
                by_tag[tag] = count + 1, amount + sum(entry["amounts"])
    print(total, len(groups), len(by_tag))
    for tag, (count, amount) in sorted(by_tag.items())[:20]:
        print(tag, count, f"{amount:.2f}")


main()
