"""Tasks: coroutines that pass messages through queues, as a small server does, with a buffer for each message.
The argument multiplies the work.
"""

import asyncio
import sys
import zlib

WORKERS, MESSAGES = 60, round(70000 * float(sys.argv[1]))


async def worker(inbox, outbox):
    while True:
        message = await inbox.get()
        if message is None:
            return
        number, body = message
        reply = body.replace(b"a", b"bc") + str(number).encode()
        await outbox.put((number, zlib.crc32(reply), len(reply)))


async def feed(inbox):
    for number in range(MESSAGES):
        await inbox.put((number, b"a" * (number * 37 % 2000) + b"end"))
    for _ in range(WORKERS):
        await inbox.put(None)


async def main():
    inbox, outbox = asyncio.Queue(200), asyncio.Queue()
    workers = [asyncio.create_task(worker(inbox, outbox)) for _ in range(WORKERS)]
    await asyncio.gather(feed(inbox), *workers)
    seen = {}
    while not outbox.empty():
        number, checksum, length = outbox.get_nowait()
        seen[number] = checksum, length
    print(len(seen), sum(checksum for checksum, _ in seen.values()), sum(length for _, length in seen.values()))


asyncio.run(main())
