"""Tables: sqlite in the process and wide sets, tuples and big integers beside it.
The argument multiplies the work.
"""

import random
import sqlite3
import sys


def main():
    generator = random.Random(4)
    base = sqlite3.connect(":memory:")
    base.execute("create table sale (id integer primary key, shop text, item text, price real)")
    base.executemany("insert into sale (shop, item, price) values (?, ?, ?)",
                     ((f"shop {generator.randrange(80)}", f"item {generator.randrange(4000)}",
                       generator.randrange(9999) / 100)
                      for _ in range(round(180000 * float(sys.argv[1])))))
    base.execute("create index sale_item on sale (item)")
    print(base.execute("select count(*), round(sum(price), 2) from sale").fetchall())
    for shop, items, price in base.execute("select shop, count(distinct item), round(max(price), 2) from sale "
                                           "group by shop order by shop limit 5"):
        print(shop, items, price)
    pairs = {(shop, item) for shop, item in base.execute("select shop, item from sale")}
    frozen = {frozenset((a, b)) for a, b in pairs}
    number = 1
    for factor in range(1, 1500):
        number *= factor
    print(len(pairs), len(frozen), number % 1000003, len(str(number)))
    base.close()


main()
