#!/usr/bin/env python3
"""
peer.py: a peer that sends without end, or nothing, for the tests

Usage: test/peer.py FILE MODE [CERTIFICATE KEY]

Listens on a port of 127.0.0.1, which it prints, until it is ended: as a process
group, since there are processes for each connection.  To each
connection it says what MODE names, again and again, as fast as it is read, and
adds a byte to the file when it begins to:

HTTP/2, which needs a certificate, so by TLS:
  pings, settings, windows   frames that are to be answered, or acted on
  headers                    the headers of an answer
  data                       an answer in frames of no bytes

HTTP/1.1, by TLS if there is a certificate:
  continues    "100 Continue" before the answer
  header       one header after the other
  line         one header that doesn't end
  extensions   an answer in chunks of one byte, whose lines have extensions
  extension    one extension that doesn't end
  trailers     the headers after an answer in chunks

Also, by either protocol, not again and again:
  silence         nothing
  answer=N=PATH   the answer that the file PATH holds, headers and all, but for its
                  last byte; that follows when N requests have begun to be answered,
                  or a second has passed.  "########" in it is a number of its own
  unasked=PATH=UNASKED  the answer that the file PATH holds to the first request of a
                  connection, and a moment later, when nobody has asked, what UNASKED
                  holds; nothing to later requests

What the client sends is read and dropped by a process of its own, so that it is
never the client who waits.
"""

import os
import signal
import socket
import ssl
import struct
import sys
import time

PIECE = 1 << 20                 # sent at once, at least
PING, SETTINGS, WINDOW_UPDATE, HEADERS, DATA, CONTINUATION = 6, 4, 8, 1, 0, 9


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(
        ">BBI", kind, flags, stream) + payload


# An indexed ":status: 200" and a literal header, of which none is remembered.
STATUS = b"\x88"
HEADER = b"\x00\x01a\x01b"

# What comes first, and what comes again and again.
HTTP2 = {
    "pings": (b"", frame(PING, payload=b"12345678")),
    "settings": (b"", frame(SETTINGS, payload=struct.pack(">HI", 3, 100))),
    "windows": (b"", frame(WINDOW_UPDATE, stream=1, payload=struct.pack(">I", 1))
                + frame(PING, payload=b"12345678")),
    "headers": (frame(HEADERS, 0, 1, STATUS), frame(CONTINUATION, 0, 1, HEADER * 1000)),
    "data": (frame(HEADERS, 4, 1, STATUS), frame(DATA, 0, 1)),
}
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
HTTP1 = {
    "continues": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "header": (OK, b"a: b\r\n"),
    "line": (OK + b"a: ", b"b" * 1000),
    "extensions": (CHUNKED, b"1;a=" + b"b" * 100 + b"\r\n \r\n"),
    "extension": (CHUNKED + b"1;a=", b"b" * 1000),
    "trailers": (CHUNKED + b"1\r\n \r\n0\r\n", b"a: b\r\n"),
}


class Connection:
    """Of plain HTTP, or by TLS in memory, so that another process may read."""

    def __init__(self, connection, context):
        self.socket = connection
        self.tls = None
        if context:
            self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            self.tls = context.wrap_bio(self.incoming, self.outgoing, server_side=True)
            self.converse(self.tls.do_handshake)

    def converse(self, step):
        """Does a step of TLS, however much has to be read for it."""
        while True:
            try:
                result = step()
                self.flush()
                return result
            except ssl.SSLWantReadError:
                self.flush()
                data = self.socket.recv(65536)
                if not data:
                    raise ConnectionError
                self.incoming.write(data)

    def flush(self):
        self.socket.sendall(self.outgoing.read())

    def read(self):
        if self.tls:
            return self.converse(lambda: self.tls.read(65536))
        return self.socket.recv(65536)

    def send(self, data):
        if self.tls:
            self.tls.write(data)
            self.flush()
        else:
            self.socket.sendall(data)


def answer(connection, mode, file):
    _, count, path = mode.split("=")
    with open(path, "rb") as content:
        content = content.read()
    request = connection.read()
    while b"\r\n\r\n" not in request:
        request += connection.read()
    note(file)
    content = content.replace(b"########", b"%08d" % os.path.getsize(file))
    connection.send(content[:-1])
    end = time.monotonic() + 1
    while os.path.getsize(file) % int(count) and time.monotonic() < end:
        time.sleep(0.01)
    connection.send(content[-1:])
    while connection.read():
        pass


def answer_streams(connection, mode, file):
    """The same by HTTP/2, on all streams at once."""
    _, count, path = mode.split("=")
    with open(path, "rb") as content:
        content = content.read().partition(b"\r\n\r\n")[2]
    streams = set()
    data = connection.read()
    # room for all that the client has to send
    connection.send(frame(SETTINGS, payload=struct.pack(">HI", 4, 1 << 30)) + frame(SETTINGS, 1)
                    + frame(WINDOW_UPDATE, payload=struct.pack(">I", 1 << 30)))
    while len(streams) < int(count):
        data += connection.read()
        streams = {stream for kind, stream in frames(data) if kind == HEADERS}
    note(file)
    for stream in streams:
        connection.send(frame(HEADERS, 4, stream, STATUS))
    for at in range(0, len(content), 16384):
        for stream in streams:
            connection.send(frame(DATA, 0, stream, content[at:at + 16384]))
    time.sleep(1)
    for stream in streams:
        connection.send(frame(DATA, 1, stream))
    while connection.read():
        pass


def answer_unasked(connection, mode, file):
    contents = []
    for path in mode.split("=")[1:]:
        with open(path, "rb") as content:
            contents.append(content.read())
    request = connection.read()
    while b"\r\n\r\n" not in request:
        request += connection.read()
    connection.send(contents[0])
    time.sleep(0.05)
    connection.send(contents[1])
    note(file)
    while connection.read():
        pass


def note(file):
    with open(file, "ab", buffering=0) as floods:
        floods.write(b".")


def serve(connection, mode, file):
    if mode == "silence":
        note(file)
        while connection.read():
            pass
        return
    if mode.startswith("unasked="):
        answer_unasked(connection, mode, file)
        return
    if mode.startswith("answer="):
        h2 = connection.tls and connection.tls.selected_alpn_protocol() == "h2"
        (answer_streams if h2 else answer)(connection, mode, file)
        return
    first, again = HTTP2.get(mode) or HTTP1[mode]
    request = connection.read()
    if mode in HTTP2:
        # the headers of the first stream come after a preface and settings
        while not any(kind == HEADERS for kind, _ in frames(request)):
            request += connection.read()
        connection.send(frame(SETTINGS) + frame(SETTINGS, 1))
    else:
        while b"\r\n\r\n" not in request:
            request += connection.read()
    if os.fork() == 0:
        while connection.socket.recv(1 << 20):
            pass
        os._exit(0)
    connection.send(first)
    note(file)
    piece = again * (PIECE // len(again) + 1)
    while True:
        connection.send(piece)


def frames(data):
    data = data[len(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"):]
    while len(data) >= 9:
        yield data[3], int.from_bytes(data[5:9], "big")
        data = data[9 + int.from_bytes(data[:3], "big"):]


def main():
    file, mode, *files = sys.argv[1:]
    # to be ended as one; and nobody is to wait for the end of what we inherited
    os.setpgid(0, 0)
    os.closerange(3, 1024)
    context = None
    if files:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*files)
        context.set_alpn_protocols(["http/1.1" if mode in HTTP1 or mode.startswith("unasked=") else "h2"])
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    while True:
        connection, _ = listener.accept()
        if os.fork() == 0:
            try:
                serve(Connection(connection, context), mode, file)
            except OSError:
                pass
            os._exit(0)
        connection.close()


main()
