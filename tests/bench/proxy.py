"""A link in between: forwards TCP with a delay and a rate, both ways, in bounded memory.   proxy.py PORT RTT_MS MBIT

Prints the port it listens on, then, at each line it reads, the bytes that went to the server and those that came back.
"""

import asyncio
import sys

CHUNK = 16 << 10


class Way:
    """One direction, shared by all connections: what is sent waits for its turn, then travels."""

    def __init__(self, delay_s, bytes_per_s):
        self.delay_s, self.bytes_per_s = delay_s, bytes_per_s
        self.free_at, self.bytes = 0.0, 0

    async def carry(self, reader, writer):
        loop = asyncio.get_running_loop()
        # What the link holds, and nothing more: who reads slowly is felt by who sends.
        travelling = asyncio.Queue(maxsize=max(8, int(2 * self.delay_s * self.bytes_per_s / CHUNK)))

        async def arrive():
            while True:
                due, data = await travelling.get()
                wait = due - loop.time()
                if wait > 0:
                    await asyncio.sleep(wait)
                if data is None:
                    break
                writer.write(data)
                await writer.drain()
            writer.close()

        arriving = asyncio.create_task(arrive())
        try:
            while data := await reader.read(CHUNK):
                self.bytes += len(data)
                now = loop.time()
                self.free_at = max(now, self.free_at) + len(data) / self.bytes_per_s
                await travelling.put((self.free_at + self.delay_s, data))
                # As much as a card's queue may be ahead.
                ahead = self.free_at - loop.time() - 0.005
                if ahead > 0:
                    await asyncio.sleep(ahead)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        await travelling.put((loop.time() + self.delay_s, None))
        await asyncio.wait([arriving])


async def main(port, rtt_ms, mbit):
    delay_s, bytes_per_s = rtt_ms / 2000, mbit * 1e6 / 8
    there, back = Way(delay_s, bytes_per_s), Way(delay_s, bytes_per_s)

    async def accept(reader, writer):
        try:
            to_reader, to_writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(there.carry(reader, to_writer), back.carry(to_reader, writer), return_exceptions=True)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, limit=CHUNK)
    print(server.sockets[0].getsockname()[1], flush=True)
    loop = asyncio.get_running_loop()
    while await loop.run_in_executor(None, sys.stdin.readline):
        print(there.bytes, back.bytes, flush=True)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])))
