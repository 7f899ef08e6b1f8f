"""
connection: HTTP on one connection, of the API or of the control port

What answers is a server with opened(), closed(), handle() and finished(): it
is told of connections and requests, and calls respond() with the reply.
"""

import asyncio
import socket
import struct

from .replies import reason, to_json
from .request import (MAX_BODY, MAX_HEAD, BadRequest, ChunkedBody, Headers,
                      Request)
from .wire import NO_FAULT, render, render_plain, schedule


class HttpConnection(asyncio.Protocol):
    """
    One connection: takes requests off it, one at a time, and plays replies.
    What comes while a request is at work waits in "buffer".
    """

    def __init__(self, server, loop):
        self.server = server
        self.loop = loop
        self.number = 0
        self.transport = None
        self.buffer = b""
        self.request = None     # being received or at work
        self.parts = None       # of the body being received
        self.missing = 0        # bytes of it still to come
        self.chunks = None
        self.busy = False       # the request is at work
        self.pumping = False
        self.timer = None
        self.plan = None
        self.ending = None

    # Receiving

    def connection_made(self, transport):
        self.transport = transport
        transport.get_extra_info("socket").setsockopt(
            socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.number = self.server.opened(self)

    def connection_lost(self, exc):
        self.transport = None
        if self.timer is not None:
            self.timer.cancel()
        if self.busy:
            self.busy = False
            self.server.finished()
        self.server.closed(self)

    def data_received(self, data):
        if self.busy:
            self.buffer += data
            return
        if self.parts is not None and len(data) < self.missing:
            self.parts.append(data)
            self.missing -= len(data)
            return
        self.buffer = self.buffer + data if self.buffer else data
        self.pump()

    def pump(self):
        """Takes requests off the buffer for as long as that is possible."""
        if self.pumping:
            return
        self.pumping = True
        try:
            while self.transport is not None and not self.busy and \
                    self.buffer and self.take_request():
                pass
        except BadRequest as problem:
            self.refuse(problem)
        finally:
            self.pumping = False

    def take_request(self):
        """Makes progress with the buffer; false if more must come first."""
        if self.request is None and not self.take_head():
            return False
        if self.chunks is not None:
            rest = self.chunks.feed(self.buffer)
            if rest is None:
                self.buffer = b""
                return False
            self.request.body = b"".join(self.chunks.parts)
            self.buffer = rest
        elif self.missing:
            if len(self.buffer) < self.missing:
                self.missing -= len(self.buffer)
                self.parts.append(self.buffer)
                self.buffer = b""
                return False
            self.parts.append(self.buffer[:self.missing])
            self.buffer = self.buffer[self.missing:]
            self.request.body = b"".join(self.parts)
        self.dispatch()
        return True

    def take_head(self):
        end = self.buffer.find(b"\r\n\r\n")
        if end > MAX_HEAD or end < 0 and len(self.buffer) > MAX_HEAD:
            raise BadRequest(431, "the head is too long")
        if end < 0:
            return False
        head = self.buffer[:end]
        line, _, block = head.partition(b"\r\n")
        try:
            line = line.decode("ascii")
        except UnicodeDecodeError:
            raise BadRequest(400, "the request line is not ASCII")
        headers = Headers.of(block)
        self.request = Request(line, headers)
        self.request.head = head
        self.buffer = self.buffer[end + 4:]
        if headers.chunked:
            self.chunks = ChunkedBody()
        elif headers.length:
            if headers.length > MAX_BODY:
                raise BadRequest(413, "the body is too long")
            self.missing = headers.length
            self.parts = []
        if headers.expects and not self.buffer:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return True

    def dispatch(self):
        """The request is complete."""
        self.parts = self.chunks = None
        self.missing = 0
        self.busy = True
        self.request.received = self.loop.time()
        self.server.handle(self, self.request)

    def refuse(self, problem):
        """Answers what is not HTTP, and closes."""
        body = to_json({"status": "error", "message": str(problem)})
        self.transport.write(
            b"HTTP/1.1 %d %b\r\nConnection: close\r\nContent-Type: "
            b"application/json\r\nContent-Length: %d\r\n\r\n%b" % (
                problem.status, reason(problem.status).encode(), len(body),
                body))
        self.transport.close()

    # Sending

    def respond(self, reply, due):
        """Answers the request at work, not before the time "due"."""
        if self.transport is None:
            return
        if due > self.loop.time():
            self.timer = self.loop.call_at(due, self.send, reply)
        else:
            self.send(reply)

    def send(self, reply):
        request = self.request
        if not (reply.fault or reply.headers or request.wants_close()) and \
                reply.data is not None and request.method != "HEAD":
            self.transport.write(render_plain(reply, request))
            self.done("keep")
            return
        fault = reply.fault or NO_FAULT
        if fault.get("hang"):
            return
        head, body, closing = render(reply, request)
        self.ending = "keep"
        if closing or fault.keys() & {"close", "truncate", "cut_head"} or \
                fault.get("close_after"):
            self.ending = "close"
        if "reset" in fault:
            self.ending = "reset"
        self.plan = schedule(head, body, fault)
        self.play()

    def play(self, data=None):
        """Plays the schedule of a reply."""
        while self.transport is not None:
            if data is not None:
                self.transport.write(data)
            delay, data = next(self.plan, (None, None))
            if delay is None:
                self.done(self.ending)
                return
            if delay:
                self.timer = self.loop.call_later(delay, self.play, data)
                return

    def done(self, ending):
        """The reply is out."""
        if ending == "reset":
            self.reset()
            return
        self.busy = False
        self.request = None
        self.server.finished()
        if ending == "close":
            self.transport.close()
        else:
            self.pump()

    def reset(self):
        """Breaks the connection with a TCP reset, once what was written has
        gone out."""
        if self.transport is None:
            return
        if self.transport.get_write_buffer_size():
            self.timer = self.loop.call_later(0.005, self.reset)
            return
        self.transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()
