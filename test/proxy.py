#!/usr/bin/env python3
"""
proxy.py: a proxy that does what a file says, for the tests

Usage: test/proxy.py FILE

Listens on a port of 127.0.0.1, which it prints, and speaks HTTP's CONNECT and
SOCKS5 there, whatever a client begins with. For each connection it reads the file:

  open                   connects the client to where it wants
  login NAME PASSWORD    does so for this login, and refuses any other
  status NUMBER          answers CONNECT, or any other request, with that status
  close                  closes the connection without an answer
  garbage                answers with what is not HTTP
  long                   answers with a header that has no end
  refuse NUMBER          refuses by SOCKS5, with that reply
  methods                accepts none of SOCKS5's ways to log in

What a client has sent as its login is appended to FILE.logins, one a line.
"""

import base64
import os
import select
import signal
import socket
import sys

SOCKS5 = b"\x05"


def read(connection, size):
    data = b""
    while len(data) < size:
        piece = connection.recv(size - len(data))
        if not piece:
            raise ConnectionError
        data += piece
    return data


def tunnel(client, host, port, answer):
    server = socket.create_connection((host, port))
    client.sendall(answer)
    ends = {client: server, server: client}
    while True:
        for source in select.select(list(ends), [], [])[0]:
            data = source.recv(65536)
            if not data:
                return
            ends[source].sendall(data)


def note(file, login):
    with open(file + ".logins", "a", encoding="utf-8") as logins:
        logins.write(login + "\n")


def serve_http(client, file, head, what):
    while b"\r\n\r\n" not in head:
        head += read(client, 1)
    lines = head.decode("latin-1").split("\r\n")
    login = ""
    for line in lines:
        name, _, value = line.partition(": ")
        if name.lower() == "proxy-authorization":
            login = base64.b64decode(value.split(" ")[1]).decode()
            note(file, login)
    status = 200
    if what[0] == "status":
        status = int(what[1])
    elif what[0] == "login" and login != ":".join(what[1:]):
        status = 407
    if what[0] == "garbage":
        client.sendall(b"\x00\x01\x02 this is not HTTP\r\n" * 100)
    elif what[0] == "long":
        client.sendall(b"HTTP/1.1 200 OK\r\n" + b"a: " + b"b" * 500000)
    elif status != 200:
        # what was sent is repeated, as some gateways do
        body = head
        client.sendall(b"HTTP/1.1 %d No\r\nX-Echo: %s\r\nProxy-Authenticate: Basic realm=x\r\n"
                       b"Content-Length: %d\r\n\r\n" % (status, base64.b64encode(login.encode()), len(body)) + body)
    else:
        host, port = lines[0].split(" ")[1].rsplit(":", 1)
        tunnel(client, host, int(port), b"HTTP/1.1 200 OK\r\n\r\n")


def serve_socks(client, file, what):
    methods = read(client, read(client, 1)[0])
    wanted = 2 if what[0] == "login" else 0
    if what[0] == "methods" or wanted not in methods:
        client.sendall(SOCKS5 + b"\xff")
        return
    client.sendall(SOCKS5 + bytes([wanted]))
    if wanted == 2:
        read(client, 1)
        name = read(client, read(client, 1)[0]).decode()
        password = read(client, read(client, 1)[0]).decode()
        note(file, f"{name}:{password}")
        right = [name, password] == what[1:]
        client.sendall(b"\x01" + (b"\x00" if right else b"\x01"))
        if not right:
            return
    kind = read(client, 4)[3]
    host = read(client, read(client, 1)[0]).decode() if kind == 3 else socket.inet_ntoa(read(client, 4))
    port = int.from_bytes(read(client, 2), "big")
    answer = b"\x00\x01" + b"\x7f\x00\x00\x01" + b"\x00\x00"
    if what[0] == "refuse":
        client.sendall(SOCKS5 + bytes([int(what[1])]) + answer)
        return
    tunnel(client, host, port, SOCKS5 + b"\x00" + answer)


def serve(client, file):
    with open(file, encoding="utf-8") as words:
        what = words.read().split()
    first = read(client, 1)
    if what[0] == "close":
        return
    if first == SOCKS5:
        serve_socks(client, file, what)
    else:
        serve_http(client, file, first, what)


def main():
    file = sys.argv[1]
    # to be ended as one; and nobody is to wait for the end of what we inherited
    os.setpgid(0, 0)
    os.closerange(3, 1024)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    while True:
        client, _ = listener.accept()
        if os.fork() == 0:
            try:
                serve(client, file)
                client.shutdown(socket.SHUT_WR)
            except OSError:
                pass
            os._exit(0)
        client.close()


main()
