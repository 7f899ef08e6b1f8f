"""
test_process: tests of the command line, and of how the process ends
"""

import re
import signal
import socket
import subprocess
import sys
import threading
import time

from .harness import SIMULATOR, TIMEOUT, Simulator, SimulatorTest


class ProcessTest(SimulatorTest):
    """How the process begins and ends."""

    def test_signals(self):
        # what is ignored, as in a shell's background, stays so in the simulator
        self.addCleanup(signal.signal, signal.SIGINT,
                        signal.signal(signal.SIGINT, signal.default_int_handler))
        for number in (signal.SIGTERM, signal.SIGINT):
            simulator = Simulator()
            simulator.process.send_signal(number)
            simulator.process.wait(TIMEOUT)
            simulator.process.stdout.close()

    def test_parent_death(self):
        script = ("import subprocess, sys, time\n"
                  "child = subprocess.Popen([sys.executable, sys.argv[1]], "
                  "stdout=subprocess.PIPE, text=True)\n"
                  "print(child.pid, child.stdout.readline(), flush=True)\n"
                  "time.sleep(60)\n")
        parent = subprocess.Popen([sys.executable, "-c", script, SIMULATOR],
                                  stdout=subprocess.PIPE, text=True)
        port = int(re.search("port=([0-9]+)",
                             parent.stdout.readline()).group(1))
        socket.create_connection(("127.0.0.1", port), TIMEOUT).close()
        parent.kill()
        parent.wait()
        parent.stdout.close()
        deadline = time.monotonic() + TIMEOUT
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), TIMEOUT).close()
            except OSError:
                break
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)

    def test_thread_death(self):
        """The end of the thread that started it is not the parent's."""
        made = []
        thread = threading.Thread(target=lambda: made.append(Simulator()))
        thread.start()
        thread.join()
        self.addCleanup(made[0].stop)
        self.use(made[0])
        for number in range(20):
            self.put(str(number + 1), "1", status=200)
            time.sleep(0.005)

    def test_arguments(self):
        for arguments in (["--tls-cert", "x"],
                          ["--discard", "--journal", "x"]):
            done = subprocess.run([sys.executable, SIMULATOR, *arguments],
                                  capture_output=True)
            self.assertEqual(done.returncode, 2)

    def test_latency_option(self):
        simulator = Simulator("--latency", "200", "--token", "mine")
        self.addCleanup(simulator.stop)
        self.assertRegex(simulator.line, r"^port=\d+ control=\d+\n$")
        self.use(simulator)
        start = time.monotonic()
        self.put(token="mine", status=200)
        self.assertGreaterEqual(time.monotonic() - start, 0.2)
        start = time.monotonic()
        self.put(status=401)
        self.assertGreaterEqual(time.monotonic() - start, 0.2)
        self.settings(latency_ms=0)
        taken = []
        for _ in range(5):
            start = time.monotonic()
            self.put(token="mine", status=200)
            taken.append(time.monotonic() - start)
        self.assertLess(min(taken), 0.2)
