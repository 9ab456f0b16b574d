"""Runs the built gateway for a test: on a free port, in an environment of its own, and ended by its pid."""

import contextlib
import os
import signal
import subprocess
import sys
import threading

ADMIN = "of-the-admin"


class Gateway:
    def __init__(self, binary, **variables):
        environment = {"PATH": os.environ["PATH"], "GATEWAY_ADDRESS": "127.0.0.1:0", "GATEWAY_ADMIN_TOKEN": ADMIN}
        environment.update({name: str(value) for name, value in variables.items()})
        self.process = subprocess.Popen(
            [binary], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        self.lines, self.is_up = [], threading.Event()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        assert self.is_up.wait(60) and self.port, "the gateway did not start:\n" + self.stderr()

    port = None

    def _read(self):
        # Always read, so that it never waits for whoever watches it.
        for line in self.process.stderr:
            self.lines.append(line.decode(errors="replace"))
            if self.lines[-1].startswith("listening on http://"):
                self.port = int(self.lines[-1].rsplit(":", 1)[1])
                self.is_up.set()
        self.is_up.set()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def stderr(self):
        return "".join(self.lines)

    def is_alive(self):
        return self.process.poll() is None

    def resident(self):
        """Bytes of memory in use."""
        with open(f"/proc/{self.process.pid}/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def stop(self, within=60):
        """Asks it to stop; its exit status."""
        if self.is_alive():
            os.kill(self.process.pid, signal.SIGTERM)
        status = self.process.wait(within)
        self.reader.join(10)
        return status


@contextlib.contextmanager
def running(binary, **variables):
    gateway = Gateway(binary, **variables)
    try:
        yield gateway
    finally:
        if gateway.is_alive():
            gateway.process.kill()
        gateway.process.wait()


def binary():
    """The gateway to test: the first argument of the script."""
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} PATH/TO/gateway")
    return sys.argv[1]
