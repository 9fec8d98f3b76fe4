"""Serves saved pages over HTTP/1.1 from memory. Usage: serve.py PAGES MILLISECONDS

As little as a server can do: whole responses are held, and one is sent as it is for each request, after a wait of so
many milliseconds. The page is the one whose file's stem is the query's `next_cursor`, the first one without it. Prints
its URL, and serves until it is ended.
"""

import pathlib
import re
import socket
import sys
import threading
import time

CURSOR = re.compile(rb"^GET \S*[?&]next_cursor=([\w-]+)")


def responses(folder):
    """A response for each page, by its cursor."""
    held = {}
    for path in sorted(folder.iterdir()):
        body = path.read_bytes()
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        held[path.stem.encode()] = head.encode() + body
    return held


def requests(connection):
    """The head of each request on a connection."""
    received = b""
    while True:
        while b"\r\n\r\n" not in received:
            more = connection.recv(64 << 10)
            if not more:
                return
            received += more
        head, received = received.split(b"\r\n\r\n", 1)
        yield head


def answer(connection, held, wait):
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    first = next(iter(held))
    try:
        for head in requests(connection):
            asked = CURSOR.match(head)
            time.sleep(wait)
            connection.sendall(held[asked[1] if asked else first])
    except ConnectionError:
        pass
    finally:
        connection.close()


def main():
    held, wait = responses(pathlib.Path(sys.argv[1])), int(sys.argv[2]) / 1_000
    listener = socket.create_server(("127.0.0.1", 0))
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=answer, args=(connection, held, wait), daemon=True).start()


main()
