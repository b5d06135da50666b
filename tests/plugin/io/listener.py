"""A server on this machine that counts who calls, in a process of its own: GDAL may hold Python's lock."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

_SERVER = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        open(sys.argv[1], "a").write(f"{self.command} {self.path}\\n")
        self.send_error(404)
    do_HEAD = do_POST = do_OPTIONS = do_PROPFIND = do_GET
    def log_message(self, *_): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"""


class Listener:
    """Where it listens, and what it was asked for."""

    def __init__(self, url: str, log: Path) -> None:
        self.url, self._log = url, log

    @property
    def requests(self) -> list[str]:
        """What it was asked for so far: ``GET /path``."""
        return self._log.read_text().splitlines()


@contextlib.contextmanager
def listening(folder: Path) -> Iterator[Listener]:
    """Run a listener for one block; it answers that there is nothing."""
    log = folder / "requests.txt"
    log.touch()
    server = subprocess.Popen([sys.executable, "-c", _SERVER, str(log)], stdout=subprocess.PIPE, text=True)
    try:
        yield Listener(f"http://127.0.0.1:{int(server.stdout.readline())}", log)
    finally:
        server.kill()
        server.wait()
