"""Send one notification to each address; the only module that imports Apprise.

In: JSON on standard input: ``addresses`` and, unless they are only to be checked, ``message`` with
title, text and kind. Out: JSON on standard output: one outcome per address.

    python -m trainer.notify.send < request.json     started by ``notifier``, never imported by it
"""

from __future__ import annotations

import faulthandler
import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

LIMIT_S = 20.0  # of one notification, then it counts as not sent
UNKNOWN, SENT, NOT_SENT = "unknown", "sent", "not sent"


def main() -> None:
    """Answer the request and end the process, also while a server does not answer."""
    faulthandler.dump_traceback_later(2 * LIMIT_S, exit=True)  # also where an import hangs
    request = json.loads(sys.stdin.read())
    print(json.dumps(outcomes(request["addresses"], request.get("message"))), flush=True)
    os._exit(0)


def outcomes(addresses: list[str], message: dict[str, str] | None) -> list[str]:
    """Return the outcome of each address; all are sent to at the same time.

    Args:
        addresses: As Apprise accepts them.
        message: ``title``, ``body`` and ``notify_type`` of Apprise; None sends nothing.
    """
    import apprise

    services: list[Any] = [apprise.Apprise.instantiate(address) for address in addresses]
    if message is None:
        return [UNKNOWN if service is None else "" for service in services]
    pool = ThreadPoolExecutor(max(1, len(services)))
    calls = [
        None if service is None else pool.submit(service.notify, **message) for service in services
    ]
    wait([call for call in calls if call is not None], LIMIT_S)
    return [
        UNKNOWN if call is None else SENT if call.done() and _is_true(call) else NOT_SENT
        for call in calls
    ]


def _is_true(call: Any) -> bool:  # noqa: ANN401 - a Future
    return call.exception() is None and bool(call.result())


if __name__ == "__main__":
    main()
