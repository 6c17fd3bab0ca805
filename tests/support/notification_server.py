"""A real HTTP server on loopback that receives notifications, or does not answer them.

In: nothing. Out: addresses of Apprise for it, and the messages that arrived.
"""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SECRET = "Xq7secretZ"  # part of every address: nothing may show it
PATIENCE_S = 30.0  # a sending process takes half a second
SILENT, BROKEN = "/silent", "/broken"


class NotificationServer:
    """Attributes: ``messages`` (title, text, kind), in the order of their arrival."""

    def __init__(self):
        self.messages = []
        self._released = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if self.path.startswith(SILENT):
                    outer._released.wait(PATIENCE_S)
                    return
                if not self.path.startswith(BROKEN):
                    outer.messages.append((body["title"], body["message"], body["type"]))
                self.send_response(500 if self.path.startswith(BROKEN) else 200)
                self.end_headers()

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def address(self, path=""):
        """Return an address that holds a secret; SILENT and BROKEN get no answer and an error."""
        return f"json://user:{SECRET}@127.0.0.1:{self._server.server_port}{path}"

    def titles(self):
        return [title for title, _, _ in self.messages]

    def wait_for(self, number):
        """Wait until so many messages have arrived; return their titles."""
        deadline = time.monotonic() + PATIENCE_S
        while len(self.messages) < number and time.monotonic() < deadline:
            time.sleep(0.02)
        return self.titles()

    def close(self):
        self._released.set()
        self._server.shutdown()
        self._server.server_close()
