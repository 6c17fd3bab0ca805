"""The notifications of one start of a trainer or of a study.

In: the folder of a run or study, a notifier. Out: messages; what the body raises goes on.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trainer.notify import messages
from trainer.notify.interruptions import notify_at_start
from trainer.notify.notifier import Notifier
from trainer.run import RefusedError
from trainer.store.locks import LeaseLostError


@contextmanager
def notified(root: Path, notifier: Notifier) -> Iterator[None]:
    """Send how the body ends; the caller closes the notifier of one that ends well.

    A refused start changes nothing and is not reported, nor is one that lost its run to another
    trainer, which reports it.
    """
    notify_at_start(root, notifier)
    try:
        yield
    except (RefusedError, LeaseLostError):
        notifier.close()
        raise
    except BaseException as error:  # recorded as failed too
        notifier.send(messages.failed(root, error))
        notifier.close()
        raise
    message = messages.ended(root)
    if message is not None:
        notifier.send(message)
