"""
wire: how a reply goes over the wire, faults included

That is a schedule of (delay, bytes) and one of four ends: the connection is
kept, closed or reset, or hangs.  The connection merely plays it.
"""

import gzip
import zlib

from .replies import CLOCK, reason

NO_FAULT = {}
PLAIN_HEAD = ("HTTP/1.1 %d %s\r\nDate: %s\r\nContent-Type: %s\r\n"
              "Content-Length: %d\r\nx-hubspot-correlation-id: %s\r\n\r\n")


def render_plain(reply, request):
    """Head and body of a reply without anything special about it."""
    body = reply.body()
    return (PLAIN_HEAD % (reply.status, reason(reply.status), CLOCK.date(),
                          reply.content_type, len(body),
                          request.correlation)).encode("ascii") + body


def render(reply, request):
    """Head and body of a reply, and whether the connection ends with it."""
    fault = reply.fault or NO_FAULT
    body = reply.body()
    headers = {"Date": CLOCK.date()}
    if reply.data is not None and accepts(request, fault.get("compress")):
        body = compressed(body, fault["compress"])
        headers["Content-Encoding"] = fault["compress"]
    if reply.data is not None:
        headers["Content-Type"] = reply.content_type
        if fault.get("chunked"):
            headers["Transfer-Encoding"] = "chunked"
        else:
            headers["Content-Length"] = len(body)
    elif reply.status >= 200 and reply.status not in (204, 304):
        headers["Content-Length"] = 0
    headers["x-hubspot-correlation-id"] = request.correlation
    headers.update(reply.headers)
    closing = request.wants_close()
    if closing or fault.get("close_after") and not fault.get("silent_close"):
        headers["Connection"] = "close"
    if "headers" in fault:
        replace_headers(headers, fault["headers"])
        closing = closing or reply.data is not None and not (
            {"content-length", "transfer-encoding"} & set(map(
                str.lower, headers)))
    lines = ["HTTP/1.1 %d %s" % (reply.status, reason(reply.status))]
    lines[:0] = ["HTTP/1.1 %d %s\r\n" % (status, reason(status))
                 for status in fault.get("informational", ())]
    lines += ["%s: %s" % field for field in headers.items()]
    head = "\r\n".join(lines).encode("utf-8") + b"\r\n\r\n"
    return head, b"" if request.method == "HEAD" else body, closing


def accepts(request, encoding):
    """Whether a client wants bodies in that encoding."""
    wanted = request.headers.fields.get("accept-encoding", "")
    return encoding in [name.split(";")[0].strip()
                        for name in wanted.split(",")]


def compressed(body, encoding):
    return gzip.compress(body, 6) if encoding == "gzip" \
        else zlib.compress(body, 6)


def replace_headers(headers, changes):
    """Sets headers whatever their case, or with None removes them."""
    for name, value in changes.items():
        for present in list(headers):
            if present.lower() == name.lower():
                del headers[present]
        if value is not None:
            headers[name] = value


def schedule(head, body, fault):
    """A reply as (delay in seconds, bytes), as a rule wants it."""
    if fault.get("close") == "before" or fault.get("reset") == "before":
        return
    if "cut_head" in fault:
        yield 0, head[:fault["cut_head"]]
        return
    if fault.get("reset") == "headers":
        yield 0, head
        yield 0.01, b""
        return
    whole = len(body)
    if "truncate" in fault:
        body = body[:fault["truncate"]]
    if fault.get("reset") == "body":
        body = body[:whole // 2]
    pieces = cut(body, fault, len(body) == whole)
    delay_body = fault.get("delay_body_ms", 0) / 1000
    if not delay_body and len(pieces) <= 1:
        yield 0, head + b"".join(pieces)
    else:
        yield 0, head
        delay = fault.get("drip", {}).get("interval_ms", 0) / 1000
        for number, piece in enumerate(pieces):
            yield delay if number else delay_body, piece
    if "reset" in fault:
        yield 0.01, b""


def cut(body, fault, complete):
    """The body in pieces, as chunks if need be."""
    size = fault.get("drip", {}).get("bytes")
    if size is None:
        size = max(1, min(16384, len(body) // 3 + 1)) \
            if fault.get("chunked") else max(1, len(body))
    pieces = [body[i:i + size] for i in range(0, len(body), size)]
    if fault.get("chunked"):
        pieces = [b"%x\r\n%b\r\n" % (len(p), p) for p in pieces]
        if complete:
            pieces.append(b"0\r\n\r\n")
    return pieces
