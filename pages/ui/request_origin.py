"""Request origin: which requests the dashboard's server answers at all.

In: an HTTP or WebSocket request. Out: the same request, or status 403 with the reason.

Streamlit compares only the host name of a request's origin, so that a page on another port of this
machine could open the dashboard's WebSocket, and it checks the host name of WebSockets only. Here
every request is checked, before Streamlit sees it:

- Its ``Host`` is one of ``server.allowedHosts``.
- Its ``Origin``, where a browser sends one, is the address that was requested: scheme, host and
  port; or one of ``server.corsAllowedOrigins``.
- A browser requests it for the dashboard itself or for a tab of its own (``Sec-Fetch-Site``,
  ``-Mode``, ``-Dest``), not for an image, a script or a frame of another page. Where
  ``server.corsAllowedOrigins`` is set, frames are allowed: Colab shows the dashboard in one.

Programs that are no browser send neither ``Origin`` nor ``Sec-Fetch``; they are not restricted.
"""

from __future__ import annotations

import functools
import logging

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose
from streamlit.web.server import server_util
from streamlit.web.server.starlette.starlette_websocket import is_host_allowed

SCHEMES = {"ws": "http", "wss": "https"}  # of a WebSocket, as its page's origin has it
WHOLE_PAGE = ("document",)
FRAMES = ("iframe", "frame")
_MAX_SHOWN = 200  # characters of a header in a message

_log = logging.getLogger(__name__)


class RequestOriginMiddleware:
    """Refuse requests for foreign host names and requests of foreign pages."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with the reason why it is refused."""
        reason = refusal(scope) if scope["type"] in ("http", "websocket") else ""
        if not reason:
            await self._app(scope, receive, send)
            return
        _warn_once(reason)
        is_http = scope["type"] == "http"
        answer = PlainTextResponse(reason, 403) if is_http else WebSocketClose(1008, reason)
        await answer(scope, receive, send)


def refusal(scope: Scope) -> str:
    """Return why a request is refused, or "" if it is not.

    Args:
        scope: Of an ASGI connection of type "http" or "websocket".
    """
    headers = Headers(scope=scope)
    hosts = headers.getlist("host")
    if len(hosts) != 1 or not is_host_allowed(hosts[0]):
        return (
            f"This dashboard does not answer to the host name {_shown(', '.join(hosts))}. Open it "
            "by another name, or add this one to server.allowedHosts."
        )
    if server_util.allow_all_cross_origin_requests():
        return ""
    listed = {origin.rstrip("/").lower() for origin in server_util.allowlisted_origins()}
    served = f"{SCHEMES.get(scope['scheme'], scope['scheme'])}://{hosts[0]}".lower()
    origins = [origin.lower() for origin in headers.getlist("origin")]
    if not {served, *listed}.issuperset(origins):
        return (
            f"This dashboard at {_shown(served)} accepts no requests from pages of "
            f"{_shown(', '.join(origins))}. If this is the address of your proxy, add it to "
            "server.corsAllowedOrigins."
        )
    is_foreign = headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none")
    shown_in = (*WHOLE_PAGE, *FRAMES) if listed else WHOLE_PAGE
    is_navigation = headers.get("sec-fetch-mode") == "navigate"
    if (
        is_foreign
        and not origins
        and not (is_navigation and headers.get("sec-fetch-dest") in shown_in)
    ):
        return (
            "This dashboard is shown in a tab of its own only: another page requested it as "
            f"{_shown(headers.get('sec-fetch-dest') or 'unknown')}. Open its address in the "
            "browser."
        )
    return ""


@functools.lru_cache(maxsize=100)
def _warn_once(reason: str) -> None:
    """Log a refusal, once, since browsers repeat their requests."""
    _log.warning(reason)


def _shown(text: str) -> str:
    return repr(text[:_MAX_SHOWN])
