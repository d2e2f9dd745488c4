"""A second reader of the snapshot file, for the tests here: written from profiler/format/snapshot.h alone, so that what
the recorder writes is judged by something that shares no code with the reports. It names a call site by the
innermost function of the program in its stack; names come from the program's own symbol table."""
import bisect
import collections
import copy
import struct

PAGE = 4096
UNIT = 1024  # blocks are counted in 1/1024
UNKNOWN = 0
MANY = 0xffffffff
CHOSEN = 2
CACHED_SPAN = 3
TRUNCATED, THREAD, EXACT = 1, 2, 4

Pool = collections.namedtuple('Pool', 'base size_class pages live binned remote uncarved heap first_page identity chosen_page')
Span = collections.namedtuple('Span', 'base bytes resident kind reserved')
SizeClass = collections.namedtuple('SizeClass', 'size pool_bytes capacity reserved')
Held = collections.namedtuple('Held', 'site size_class group share pages blocks')
Recording = collections.namedtuple(
    'Recording', 'sites ever rate one_in groups since until memory peak peak_ns missed truncated shortened frames '
    'frame_limit site_count site_limit depth by_thread lifetimes')

SITE_FIELDS = (
    ('number', 'I'), ('frame', 'I'), ('samples', 'Q'), ('allocated_blocks', 'Q'), ('allocated_bytes', 'Q'),
    ('allocated_requested', 'Q'), ('allocated_bytes_variance', 'd'), ('temporary_blocks', 'Q'), ('ended_blocks', '8Q'),
    ('live_samples', 'Q'), ('live_blocks', 'Q'), ('live_bytes', 'Q'), ('live_requested', 'Q'),
    ('live_blocks_variance', 'd'), ('live_bytes_variance', 'd'), ('span_bytes', 'Q'), ('span_resident_bytes', 'Q'),
    ('peak_blocks', 'Q'), ('peak_bytes', 'Q'), ('born_blocks', '16Q'), ('oldest_ns', 'Q'), ('youngest_ns', 'Q'),
    ('size_samples', '16I'))
SITE = struct.Struct('<' + ''.join(kind for _, kind in SITE_FIELDS))


class Symbols:
    """Functions of an ELF executable by their addresses in the file."""

    def __init__(self, path):
        with open(path, 'rb') as file:
            data = file.read()
        at, entry, count = struct.unpack_from('<Q', data, 40)[0], *struct.unpack_from('<HH', data, 58)
        headers = [struct.unpack_from('<IIQQQQIIQQ', data, at + i * entry) for i in range(count)]
        self.functions = []
        for _, kind, _, _, offset, size, link, _, _, _ in headers:
            if kind != 2:  # SHT_SYMTAB
                continue
            names = headers[link][4]
            for place in range(offset, offset + size, 24):
                name, info, _, section, value, length = struct.unpack_from('<IBBHQQ', data, place)
                if info & 15 == 2 and section != 0:  # STT_FUNC, defined
                    text = data[names + name:data.index(b'\0', names + name)].decode()
                    self.functions.append((value, length, text))
        self.functions.sort()

    def name(self, address):
        at = bisect.bisect_right(self.functions, (address, float('inf'), '')) - 1
        if at < 0:
            return None
        start, length, name = self.functions[at]
        return name if address < start + length else None


class Site:
    """A site, or the sum of several. Blocks are whole or estimated ones, no units."""

    def __init__(self, values):
        at = 0
        for name, kind in SITE_FIELDS:
            count = int(kind[:-1] or 1)
            setattr(self, name, values[at] if count == 1 else list(values[at:at + count]))
            at += count
        for name in ('allocated_blocks', 'temporary_blocks', 'live_blocks', 'peak_blocks'):
            setattr(self, name, getattr(self, name) / UNIT)
        self.ended_blocks = [blocks / UNIT for blocks in self.ended_blocks]
        self.born_blocks = [blocks / UNIT for blocks in self.born_blocks]

    def add(self, other):
        for name, _ in SITE_FIELDS[2:]:
            mine, more = getattr(self, name), getattr(other, name)
            if name == 'oldest_ns':
                self.oldest_ns = min(filter(None, (mine, more)), default=0)
            elif name == 'youngest_ns':
                self.youngest_ns = max(mine, more)
            else:
                setattr(self, name, [a + b for a, b in zip(mine, more)] if isinstance(mine, list) else mine + more)


class Snapshot:
    """What the tests want of a file. Raises ValueError where the file contradicts itself."""

    def __init__(self, path):
        with open(path, 'rb') as file:
            self.data = file.read()
        magic, version, at = struct.unpack_from('<8sII', self.data)
        if magic != b'TIDEMARK' or version != 1:
            raise ValueError(f'{path}: not a snapshot of version 1')
        self.sections = {}
        while 'END!' not in self.sections:
            tag, record_bytes, size = struct.unpack_from('<4sIQ', self.data, at)
            if at + 16 + size > len(self.data):
                raise ValueError(f'{path}: section {tag} reaches beyond the end')
            self.sections[tag.decode()] = (record_bytes, self.data[at + 16:at + 16 + size])
            at += 16 + (size + 7) // 8 * 8
        process = self.records('PROC', 'iiIIIIQQQQQQQQ')[0]
        self.rss, self.inconsistencies = process[8], process[13]
        self.classes = [SizeClass(*record) for record in self.records('CLSS', '4I')]
        self.pools = [Pool(*record) for record in self.records('POOL', 'QHHHHHHIIHH')]
        self.spans = [Span(*record) for record in self.records('SPAN', 'QQQII')]
        self.pages = self.records('PAGE', 'HH')
        self.recording = None
        if 'RECO' in self.sections:
            self.read_recording()

    def records(self, tag, fields):
        record_bytes, payload = self.sections.get(tag, (1, b''))
        shape = struct.Struct('<' + fields)
        if len(payload) % record_bytes or payload and record_bytes < shape.size:
            raise ValueError(f'section {tag} has {len(payload)} bytes in records of {record_bytes}')
        return [shape.unpack_from(payload, at) for at in range(0, len(payload), record_bytes)]

    def text(self, tag):
        return self.sections[tag][1].rstrip(b'\0').decode()

    def string(self, offset):
        strings = self.sections['STRS'][1]
        return strings[offset:strings.index(b'\0', offset)].decode()

    def read_recording(self):
        record = self.records('RECO', 'IIQIIQQQQQQQQIIIIII8Q')[0]
        self.recording = Recording(*record[:19], record[19:])
        self.frames = self.records('FRAM', 'QII')
        self.sites = [Site(SITE.unpack_from(self.sections['SITE'][1], at))
                      for at in range(0, len(self.sections['SITE'][1]), self.sections['SITE'][0])]
        self.held = [Held(*record) for record in self.records('HELD', 'IHHQII')]
        members = [number for number, in self.records('MEMB', 'I')]
        # (sites or None, size class, group, pages, resident bytes, held bytes)
        self.sets = [(None if count == MANY else frozenset(members[first:first + count]), *rest)
                     for first, count, *rest in self.records('SETS', 'IIHHIQQ')]
        self.symbols = Symbols(self.text('EXE '))
        self.base = min((start for start, _, offset, *rest in self.records('MAPS', '9Q4I')
                         if self.string(rest[6]) == self.text('EXE ')), default=0)

    def stack(self, number):
        """Frames from the innermost outwards: (address of the call or of the thread, flags)."""
        while number != 0:
            address, number_of_caller, flags = self.frames[number]
            if number_of_caller >= number:
                raise ValueError(f'frame {number} was called by {number_of_caller}')
            yield (address if flags & (EXACT | THREAD) else address - 1), flags
            number = number_of_caller

    def function(self, site):
        """The innermost function of the program that the site's stack goes through; None: there is none."""
        for address, flags in self.stack(site.frame):
            name = self.symbols.name(address - self.base) if not flags & (TRUNCATED | THREAD) else None
            if name:
                return name
        return None

    def thread(self, site):
        return next((address for address, flags in self.stack(site.frame) if flags & THREAD), None)

    def by_function(self, key=None):
        """Sums of sites: {function: Site}; key(site) may give something else than the function."""
        sums = {}
        for site in self.sites:
            name = (key or self.function)(site)
            if name in sums:
                sums[name].add(site)
            else:
                sums[name] = copy.deepcopy(site)
        return sums

    def functions(self):
        """{number of a site: function}."""
        return {site.number: self.function(site) for site in self.sites}

    def live(self):
        """(blocks, bytes) of the whole heap, recorded or not: as the allocator has them."""
        spans = [span.bytes for span in self.spans if span.kind != CACHED_SPAN]
        return (sum(pool.live for pool in self.pools) + len(spans),
                sum(pool.live * self.classes[pool.size_class].size for pool in self.pools) + sum(spans))

    def pinned(self, pool):
        """Free bytes on the pool's pages with a live block."""
        size_class = self.classes[pool.size_class]
        if pool.live == 0:
            return 0
        if pool.live == size_class.capacity:
            return pool.pages * PAGE - size_class.capacity * size_class.size
        return sum(PAGE - live_bytes for blocks, live_bytes
                   in self.pages[pool.first_page:pool.first_page + pool.pages] if blocks)
