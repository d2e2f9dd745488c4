"""What a page holds, read without a browser: its data, and the arena map unpacked."""
import base64
import json
import re


def data_of(path):
    with open(path, encoding='utf-8') as file:
        return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', file.read(), re.S)[1])


def unpack(row):
    data, width = base64.b64decode(row['data']), row['width']
    return [int.from_bytes(data[at:at + width], 'little') for at in range(0, len(data), width)]


class Map:
    def __init__(self, data):
        self.data = data['map']
        for key in 'bases', 'masks', 'size_class', 'live', 'pinned', 'cached', 'span', 'own', 'set':
            setattr(self, key, unpack(self.data[key]))
        self.cached, self.span, self.own = ([4096 * pages for pages in row] for row in (self.cached, self.span, self.own))

    def address(self, cell):
        per_tile = self.data['cells_per_tile']
        return self.bases[cell // per_tile] * 262144 + cell % per_tile * self.data['pages_per_cell'] * 4096

    def lit(self, place):
        """Cells with survivors of a site, told by its place in the list."""
        return [cell for cell, mask in enumerate(self.set) if self.masks[mask] >> place & 1]


def text_bytes(value):
    """Bytes in the words of the reports."""
    units, unit = ['B', 'KiB', 'MiB', 'GiB'], 0
    if value < 1024:
        return f'{value} B'
    while value >= 1023.95 and unit < 3:
        value, unit = value / 1024, unit + 1
    return f'{value:.1f} {units[unit]}'
