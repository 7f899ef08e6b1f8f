"""
process: the command line, the two ports, and the end of the process

    python3 test/simulator [--host 127.0.0.1] [--port 0] [--control-port 0]
                           [--tls-cert FILE --tls-key FILE] [--latency MS]
                           [--token TOKEN] [--discard] [--journal FILE]

    --port, --control-port  0 lets the system choose
    --tls-cert, --tls-key   the API speaks TLS (the control port never does)
    --latency MS            each reply starts this long after its request came
    --token TOKEN           the default account's token ("test-token")
    --discard               for measurements of any length: the fast path
                            counts what it creates, but does not keep it; and
                            a batch read or removal that was answered before,
                            byte for byte, is answered as it was then, if
                            nothing has changed since
    --journal FILE          associations outlive the process: see journal.py

Prints one line, "port=NNN control=NNN", then serves until SIGTERM, SIGINT,
or the end of the process that started it.
"""

import argparse
import asyncio
import ctypes
import gc
import os
import select
import selectors
import signal
import ssl
import sys

from .connection import HttpConnection
from .control import Control
from .journal import Journal
from .server import ApiServer
from .state import State


class ExactSelector(selectors.DefaultSelector):
    """
    Waits to the microsecond.  epoll itself rounds up to milliseconds, which
    would make every simulated latency longer than it was meant to be.
    """

    MARGIN = 0.002

    def select(self, timeout=None):
        if timeout is None or timeout <= 0 or not hasattr(self, "fileno"):
            return super().select(timeout)
        if timeout > self.MARGIN:
            # Ends early; the loop then asks again for the rest.
            return super().select(timeout - self.MARGIN)
        select.select([self.fileno()], [], [], timeout)
        return super().select(0)


PR_SET_PDEATHSIG = 1            # of prctl()
PARENT_CHECK_SECONDS = 0.2

# Once a piece of this size has been freed, glibc takes smaller ones from the
# heap, and keeps them there.  Without that, each large batch's memory costs
# system calls and page faults, which are a third of the batch's time.
HEAP_PIECE = 16 << 20


def end_with_parent(loop, parent):
    """Has the process end when the one that started it has ended."""
    def check(*_signal):
        if os.getppid() != parent:
            os._exit(0)

    def check_again():
        check()
        loop.call_later(PARENT_CHECK_SECONDS, check_again)

    if sys.platform.startswith("linux"):
        # The signal also comes when the thread that started this process
        # ends, which is no reason to end: hence a signal that only asks.
        signal.signal(signal.SIGUSR1, check)
        try:
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGUSR1, 0, 0, 0)
        except (OSError, AttributeError):
            pass
    check_again()


def parse_arguments():
    """What the command line says; ends the process if that is wrong."""
    parser = argparse.ArgumentParser(
        prog="simulator",
        description="A simulator of the HubSpot associations API.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--control-port", type=int, default=0)
    parser.add_argument("--tls-cert", metavar="FILE")
    parser.add_argument("--tls-key", metavar="FILE")
    parser.add_argument("--latency", type=float, default=0, metavar="MS")
    parser.add_argument("--token", default="test-token")
    parser.add_argument("--discard", action="store_true",
                        help="count what the fast path creates, but do not "
                        "keep it; answer repeated reads and removals as "
                        "before")
    parser.add_argument("--journal", metavar="FILE",
                        help="keep associations there for the next start")
    arguments = parser.parse_args()
    if arguments.discard and arguments.journal:
        parser.error("--discard and --journal exclude each other")
    if bool(arguments.tls_cert) != bool(arguments.tls_key):
        parser.error("--tls-cert and --tls-key go together")
    return arguments


def tls_context(arguments):
    """For the port of the API, or None."""
    if not arguments.tls_cert:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(arguments.tls_cert, arguments.tls_key)
    context.set_alpn_protocols(["http/1.1"])
    return context


async def serve(arguments, loop):
    """Opens both ports, and says where they are."""
    journal = Journal()
    state = State(arguments.token, arguments.latency, arguments.discard,
                  journal)
    if arguments.journal:
        journal.open(arguments.journal, state)
    api = ApiServer(state, loop)
    control = Control(state, api)
    servers = []
    for handler, host, port, tls in (
            (api, arguments.host, arguments.port, tls_context(arguments)),
            (control, "127.0.0.1", arguments.control_port, None)):
        servers.append(await loop.create_server(
            lambda handler=handler: HttpConnection(handler, loop), host, port,
            ssl=tls, backlog=1024))
    print("port=%d control=%d" % tuple(
        server.sockets[0].getsockname()[1] for server in servers), flush=True)
    return servers


def main():
    """Serves until the process ends."""
    parent = os.getppid()
    arguments = parse_arguments()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:      # without a traceback
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    loop = asyncio.SelectorEventLoop(ExactSelector())
    asyncio.set_event_loop(loop)
    end_with_parent(loop, parent)
    bytes(HEAP_PIECE)           # gone at once
    loop.run_until_complete(serve(arguments, loop))
    # What lives long makes no cycles: look for garbage seldom, and not there.
    gc.freeze()
    gc.set_threshold(50000, 20, 50)
    loop.run_forever()
