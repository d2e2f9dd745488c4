"""Trees: objects with links up and down, balanced and dropped, so that the cyclic garbage collector has work.
The argument multiplies the work.
"""

import gc
import random
import sys


class Node:
    def __init__(self, key, parent):
        self.key, self.parent, self.left, self.right = key, parent, None, None
        self.values = [key]


def insert(root, key):
    node = root
    while True:
        if key == node.key:
            node.values.append(key)
            return node
        side = "left" if key < node.key else "right"
        below = getattr(node, side)
        if below is None:
            below = Node(key, node)
            setattr(node, side, below)
            return below
        node = below


def in_order(root):
    stack, node = [], root
    while stack or node:
        while node:
            stack.append(node)
            node = node.left
        node = stack.pop()
        yield node
        node = node.right


def main():
    generator = random.Random(3)
    kept, total = [], 0
    for turn in range(round(36 * float(sys.argv[1]))):
        root = Node(500000, None)
        for _ in range(9000):
            insert(root, generator.randrange(1000000))
        keys = [node.key for node in in_order(root)]
        total += sum(keys) + sum(len(node.values) for node in in_order(root))
        if turn % 4 == 0:
            kept.append(root)
        del root
    freed = gc.collect() > 0
    print(total, [sum(1 for _ in in_order(root)) for root in kept], freed)


main()
