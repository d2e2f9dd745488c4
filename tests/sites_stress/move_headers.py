#!/usr/bin/env python3
"""Writes a copy of a shared library whose program headers lie at the end of the file, in a segment of their own, as
patchelf leaves them when it needs room for more: at an address that is not their place in the file.

usage: move_headers.py FROM TO
"""
import struct
import sys

PAGE = 4096
HEADER = struct.Struct('<IIQQQQQQ')  # type, flags, offset, address, physical, bytes in file, in memory, alignment
LOAD, READABLE = 1, 4


def main():
    with open(sys.argv[1], 'rb') as file:
        data = bytearray(file.read())
    place, = struct.unpack_from('<Q', data, 32)
    count, = struct.unpack_from('<H', data, 56)
    headers = [HEADER.unpack_from(data, place + i * HEADER.size) for i in range(count)]
    loads = [i for i, header in enumerate(headers) if header[0] == LOAD]
    align = max(headers[i][7] for i in loads)
    offset = -(-len(data) // PAGE) * PAGE
    end = max(headers[i][3] + headers[i][6] for i in loads)
    address = -(-end // align) * align + offset % align
    size = (count + 1) * HEADER.size
    headers.insert(loads[-1] + 1, (LOAD, READABLE, offset, address, address, size, size, align))
    data += bytes(offset - len(data)) + b''.join(HEADER.pack(*header) for header in headers)
    struct.pack_into('<Q', data, 32, offset)
    struct.pack_into('<H', data, 56, count + 1)
    with open(sys.argv[2], 'wb') as file:
        file.write(data)


if __name__ == '__main__':
    main()
