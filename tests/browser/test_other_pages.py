"""A page of another port of this machine, in a real browser: what it can do to the dashboard."""

from __future__ import annotations

import functools
import http.server
import threading

import pytest

pytestmark = pytest.mark.browser

ATTACKS = """async (address) => {
  const socket = () => new Promise((resolve) => {
    const url = address.replace('http', 'ws') + '_stcore/stream';
    const opened = new WebSocket(url, ['streamlit']);
    opened.onopen = () => resolve('open');
    opened.onerror = () => resolve('refused');
  });
  const fetched = (path, options) =>
    fetch(address + path, options).then((answer) => 'read ' + answer.status, () => 'refused');
  const loaded = (tag, name, path) => new Promise((resolve) => {
    const element = document.createElement(tag);
    element.onload = () => resolve('loaded');
    element.onerror = () => resolve('refused');
    element[name] = address + path;
    document.body.append(element);
  });
  return {
    socket: await socket(),
    page: await fetched('', {}),
    health: await fetched('_stcore/health', {credentials: 'include'}),
    upload: await fetched('_stcore/upload_file/a/b', {method: 'PUT', body: 'x'}),
    deletion: await fetched('_stcore/upload_file/a/b', {method: 'DELETE'}),
    image: await loaded('img', 'src', 'favicon.png'),
    script: await loaded('script', 'src', 'static/js/index.js'),
  };
}"""
FRAME = "<iframe id=inside src={address}></iframe>"


class _QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *words):
        """Log nothing."""


@pytest.fixture
def other_port(tmp_path):
    """Serve an empty page, and one with the dashboard in a frame, on a port of its own."""
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "index.html").write_text("<body>another page</body>")
    handler = functools.partial(_QuietHandler, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/", folder
        server.shutdown()


def test_a_page_on_another_port_reaches_nothing(finished, chromium, other_port):
    """It opens no WebSocket, reads no answer, uploads nothing, and shows the dashboard nowhere."""
    address, folder = other_port
    page = chromium.new_page()
    try:
        page.goto(address)
        results = page.evaluate(ATTACKS, finished.url())
        assert set(results.values()) == {"refused"}, results

        (folder / "frame.html").write_text(FRAME.format(address=finished.url()))
        page.goto(f"{address}frame.html")
        inside = page.frame_locator("#inside").locator("body")
        inside.get_by_text("is shown in a tab of its own only").wait_for()
    finally:
        page.close()
