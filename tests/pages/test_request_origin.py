"""Requests that the dashboard's server refuses: foreign host names, pages on other ports."""

from __future__ import annotations

import asyncio

import pytest
from streamlit import config
from streamlit.web.server.app_discovery import discover_asgi_app

from pages.ui.request_origin import RequestOriginMiddleware, refusal
from tests.support.tiny_runs import PROJECT

HOST = "localhost:8501"
NAVIGATION = {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
IMAGE = {"sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"}
FRAME = {"sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"}


@pytest.fixture
def server_option():
    """Set options of Streamlit's server as its command line does; the old values come back."""
    names = ("server.allowedHosts", "server.corsAllowedOrigins", "server.enableCORS")
    old = {name: config.get_option(name) for name in names}
    config.set_option("server.allowedHosts", ["localhost", "127.0.0.1"])
    yield config.set_option
    for name, value in old.items():
        config.set_option(name, value)


def scope(kind="websocket", host=HOST, scheme=None, **headers):
    named = {"host": host, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return {
        "type": kind,
        "scheme": scheme or {"websocket": "ws", "http": "http"}[kind],
        "headers": [(name.encode(), value.encode()) for name, value in named.items()],
    }


@pytest.mark.parametrize("kind", ["websocket", "http"])
@pytest.mark.parametrize(
    "origin",
    [
        "http://localhost:9999",
        "http://localhost",
        "https://localhost:8501",
        "http://127.0.0.1:8501",
        "http://localhost:8501.evil.example",
        "http://localhost:8501@evil.example",
        "http://evil.example",
        "http://localhost:08501",
        "null",
        "",
        "file://",
        "http://localhost:8501, http://evil.example",
    ],
)
def test_a_page_with_another_scheme_host_or_port_is_refused(server_option, kind, origin):
    """Streamlit alone accepts every port of this machine."""
    assert "accepts no requests from pages of" in refusal(scope(kind, origin=origin))


@pytest.mark.parametrize(
    ("host", "scheme", "origin"),
    [
        (HOST, "ws", "http://localhost:8501"),
        ("127.0.0.1:9000", "http", "http://127.0.0.1:9000"),  # through ssh -L 9000:...
        ("LOCALHOST:8501", "ws", "http://localhost:8501"),
        ("localhost", "wss", "https://localhost"),
    ],
)
def test_the_dashboards_own_pages_are_accepted(server_option, host, scheme, origin):
    """The address in the browser is the one that was requested; a program has no origin."""
    assert refusal(scope(host=host, scheme=scheme, origin=origin)) == ""
    assert refusal(scope(host=host, scheme=scheme)) == ""


@pytest.mark.parametrize("kind", ["websocket", "http"])
@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8501", "", "localhost@evil.example", "localhost:x"]
)
def test_a_foreign_host_name_is_refused_for_every_request(server_option, kind, host):
    """A name that was made to mean this machine gets no page, no file and no WebSocket."""
    own = f"http://{host}"
    assert "does not answer to the host name" in refusal(scope(kind, host=host, origin=own))


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
@pytest.mark.parametrize("headers", [IMAGE, FRAME, {"sec-fetch-mode": "no-cors"}, {}])
def test_other_pages_embed_nothing_of_the_dashboard(server_option, site, headers):
    """Pictures of a run, and the dashboard in a frame whose clicks another page directs."""
    request = scope("http", **headers) | {"path": "/"}
    request["headers"].append((b"sec-fetch-site", site.encode()))
    assert "shown in a tab of its own only" in refusal(request)


@pytest.mark.parametrize("site", ["none", "same-origin", "cross-site", "same-site"])
def test_a_link_to_the_dashboard_opens_it(server_option, site):
    """From a bookmark, from the dashboard, from another site."""
    assert refusal(scope("http", sec_fetch_site=site, **NAVIGATION)) == ""


def test_a_proxy_is_named_exactly(server_option):
    """Its origin is accepted, with the port; its page may be in a frame, as on Colab."""
    server_option("server.allowedHosts", ["localhost", "app.example.com"])
    server_option("server.corsAllowedOrigins", ["https://app.example.com"])
    assert refusal(scope(host="app.example.com", origin="https://app.example.com")) == ""
    assert refusal(scope(origin="https://app.example.com")) == ""  # Host changed by the proxy
    assert refusal(scope("http", sec_fetch_site="cross-site", **FRAME)) == ""
    assert refusal(scope(origin="https://app.example.com:444"))
    assert refusal(scope("http", sec_fetch_site="cross-site", **IMAGE))


def test_cors_that_the_user_switched_off_stays_off(server_option):
    """Streamlit's option keeps its meaning, but for the host name."""
    server_option("server.enableCORS", False)
    assert refusal(scope(origin="http://evil.example")) == ""
    assert refusal(scope(host="evil.example"))


@pytest.mark.parametrize(
    ("kind", "first"), [("http", "http.response.start"), ("websocket", "websocket.close")]
)
def test_the_application_sees_no_refused_request(server_option, kind, first):
    """The reason is the answer, and a long header is not repeated in it."""
    called, sent = [], []

    async def application(*connection):
        called.append(connection)

    async def send(message):
        sent.append(message)

    guarded = RequestOriginMiddleware(application)
    asyncio.run(guarded(scope(kind, origin="http://" + "a" * 10_000), None, send))
    assert called == []
    assert sent[0]["type"] == first
    assert sent[0].get("status", 403) == 403
    assert len(str(sent)) < 1000

    asyncio.run(guarded(scope(kind, origin="http://localhost:8501"), None, send))
    assert len(called) == 1


def test_streamlit_run_serves_the_guarded_application():
    """Streamlit finds the application in the file by its source."""
    found = discover_asgi_app(PROJECT / "dashboard.py")
    assert found.import_string == "dashboard:app"
