"""A snapshot file as its sections, to be changed and put together again, with the right checksum."""
import struct
import zlib


class Sections:
    def __init__(self, path):
        with open(path, 'rb') as file:
            data = file.read()
        self.head = data[:struct.unpack_from('<I', data, 12)[0]]
        self.list = []
        at = len(self.head)
        while not self.list or self.list[-1][0] != b'END!':
            tag, record_bytes, size = struct.unpack_from('<4sIQ', data, at)
            self.list.append([tag, record_bytes, data[at + 16:at + 16 + size]])
            at += 16 + (size + 7) // 8 * 8

    def payload(self, tag):
        return next((payload for name, _, payload in self.list if name == tag), b'')

    def records(self, tag, fields):
        return [struct.unpack_from('<' + fields, payload, at) for name, size, payload in self.list if name == tag
                for at in range(0, len(payload), size)]

    def replace(self, tag, payload):
        for section in self.list:
            if section[0] == tag:
                section[2] = payload

    def write(self, path):
        data = self.head
        for tag, record_bytes, payload in self.list:
            if tag == b'END!':
                payload = struct.pack('<II', zlib.crc32(data), len(self.list) - 1)
            data += struct.pack('<4sIQ', tag, record_bytes, len(payload)) + payload + b'\0' * (-len(payload) % 8)
        with open(path, 'wb') as out:
            out.write(data)
