"""Text: makes log lines, takes them apart with regular expressions, counts words, joins and replaces strings.
The argument multiplies the work.
"""

import collections
import random
import re
import sys

LINE = re.compile(r"(?P<host>\S+) \[(?P<when>[^\]]+)\] \"(?P<verb>[A-Z]+) (?P<path>\S+)\" (?P<status>\d+) (?P<size>\d+)")


def lines(generator, count):
    words = [f"{a}{b}" for a in ("alpha", "beta", "gamma", "delta", "omega") for b in range(40)]
    for number in range(count):
        path = "/".join(generator.choice(words) for _ in range(generator.randrange(1, 6)))
        yield (f"10.0.{number % 7}.{number % 251} [{number // 60:05d}:{number % 60:02d}] "
               f"\"{generator.choice(('GET', 'POST', 'PUT'))} /{path}\" "
               f"{generator.choice((200, 304, 404))} {number * 7919 % 100003}")


def main():
    generator = random.Random(2)
    text = "\n".join(lines(generator, round(150000 * float(sys.argv[1]))))
    hosts, words, size = collections.Counter(), collections.Counter(), 0
    for match in LINE.finditer(text):
        hosts[match["host"]] += 1
        size += int(match["size"])
        words.update(match["path"].lower().strip("/").split("/"))
    shorter = re.sub(r"(alpha|beta)(\d+)", lambda match: match[2] + match[1][:1].upper(), text)
    longest = max(shorter.split("\n"), key=lambda line: (len(line), line))
    print(len(text), len(shorter), size, len(hosts), longest)
    print(words.most_common(10))


main()
