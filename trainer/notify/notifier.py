"""The notifier: sends messages to the user's addresses without the caller waiting for them.

In: addresses of Apprise, from ``--notify`` and ``NOTIFY_URLS``. Out: notifications. Addresses hold
secrets: they reach the sending process through its standard input, and no text names more of one
than its number and service. Each message is sent by a process of its own, so that neither Apprise
nor a server that does not answer can change, delay or end a run.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from trainer.config import ConfigError
from trainer.notify.send import SENT, UNKNOWN
from trainer.run.control import NOTIFY_URLS, detached, side_environment

WAIT_S = 10.0  # at the end of the process, for what is still being sent
CHECK_S = 30.0  # the import of Apprise takes half a second
TEST_S = 30.0
INSTALL = "notifications need Apprise. Install it: pip install -r requirements-notify.txt"


@dataclass(frozen=True)
class Message:
    """A notification: names, states and scores; no path, no host, no address."""

    title: str
    text: str
    kind: Literal["info", "success", "warning", "failure"] = "info"


def read_notifier(given: Sequence[str], environment: MutableMapping[str, str]) -> Notifier:
    """Return the notifier of a command; the environment is emptied of its addresses.

    What was given as an option must be right; what the environment holds stops no run: a problem
    with it is printed.

    Args:
        given: Values of ``--notify``.
        environment: The process environment; without the addresses nothing else that this process
            starts or imports has them.

    Raises:
        ConfigError: Apprise is not installed, or does not know a given address.
    """
    others = split(environment.pop(NOTIFY_URLS, ""))
    problem = find_problem(given, "--notify")
    if problem:
        raise ConfigError(problem)
    problem = find_problem(others, NOTIFY_URLS)
    if problem:
        _print(f"problem: {problem}")
    return Notifier(tuple(dict.fromkeys([*given, *others])))


def split(text: str) -> tuple[str, ...]:
    """Return the addresses of a text, which are separated by white space."""
    return tuple(text.split())


def is_installed() -> bool:
    """Return whether notifications can be sent here."""
    return importlib.util.find_spec("apprise") is not None


def find_problem(addresses: Sequence[str], where: str) -> str:
    """Return why addresses cannot be used, or "".

    Args:
        addresses: The addresses.
        where: Where the user entered them.
    """
    if not addresses:
        return ""
    if not is_installed():
        return f"{where}: {INSTALL}"
    try:
        found = _finish(_begin(addresses, None), CHECK_S)
    except (OSError, subprocess.SubprocessError, ValueError):
        return ""  # such as a machine too busy to check: sending reports its own problems
    unknown = [name for name, result in zip(_names(addresses), found, strict=True) if result]
    if not unknown:
        return ""
    return (
        f"{where}: expected addresses that Apprise knows, such as ntfy://TOPIC or "
        f"slack://TOKENS; not known: {', '.join(unknown)}"
    )


def send_test(addresses: Sequence[str]) -> str:
    """Send a test to each address and return the outcome in words; waits for it.

    Raises:
        ConfigError: Apprise is not installed, or a notification could not be sent.
    """
    if not is_installed():
        raise ConfigError(INSTALL)
    message = Message("Test of notifications", "Messages about runs and studies arrive here.")
    try:
        found = _finish(_begin(addresses, message), TEST_S)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise ConfigError(f"The test was not sent: {type(error).__name__}") from error
    problems = _problems(addresses, found)
    if problems:
        raise ConfigError(f"Not sent to {', '.join(problems)}.")
    return f"Sent to {len(found)} address{'es' * (len(found) > 1)}."


@dataclass
class Notifier:
    """Sends messages; without addresses it does nothing.

    Attributes:
        addresses: Of Apprise.
        report: Receives a line on each notification that was not sent.
    """

    addresses: tuple[str, ...] = field(default=(), repr=False)
    report: Callable[[str], None] = lambda text: _print(text)
    _sending: list[subprocess.Popen[bytes]] = field(default_factory=list, repr=False)

    def send(self, message: Message) -> None:
        """Begin to send a message; never raises and never waits."""
        if not self.addresses or not is_installed():
            return
        try:
            self._sending.append(_begin(self.addresses, message))
        except OSError as error:
            self.report(f"notification not sent: {error.strerror or type(error).__name__}")

    def close(self, wait_s: float = WAIT_S) -> None:
        """Wait a moment for what is still being sent, and report what was not."""
        until = time.monotonic() + wait_s
        while self._sending:
            process = self._sending.pop()
            try:
                found = _finish(process, max(0.0, until - time.monotonic()))
                problems = _problems(self.addresses, found)
            except (OSError, subprocess.SubprocessError, ValueError):
                problems = ["no answer in time"]
            if problems:
                self.report(f"notification not sent: {', '.join(problems)}")


def _begin(addresses: Sequence[str], message: Message | None) -> subprocess.Popen[bytes]:
    """Start the sending process and hand it the request."""
    process = subprocess.Popen(
        [sys.executable, "-m", "trainer.notify.send"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # Apprise's own log may name addresses
        env=side_environment(),
        **detached(),  # Ctrl-C pauses the run, and reports it
    )
    request: dict[str, Any] = {"addresses": list(addresses)}
    if message is not None:
        texts = asdict(message)
        request["message"] = {
            "title": texts["title"],
            "body": texts["text"] or texts["title"],  # Apprise sends none that is empty
            "notify_type": texts["kind"],
        }
    assert process.stdin is not None
    with process.stdin as stream:
        stream.write(json.dumps(request).encode())  # less than the pipe holds: nothing waits
    process.stdin = None
    return process


def _finish(process: subprocess.Popen[bytes], wait_s: float) -> list[str]:
    """Return the outcomes of a sending process, in the order of the addresses; end it if late."""
    try:
        output, _ = process.communicate(timeout=wait_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return [str(outcome) for outcome in json.loads(output)]


def _problems(addresses: Sequence[str], found: Sequence[str]) -> list[str]:
    """Name the addresses that got nothing."""
    words = {UNKNOWN: "not known to Apprise"}
    return [
        f"{name} ({words.get(outcome, 'refused or not reached')})"
        for name, outcome in zip(_names(addresses), found, strict=True)
        if outcome != SENT
    ]


def _names(addresses: Sequence[str]) -> list[str]:
    """Name addresses by number and service alone: what follows is secret."""
    services = (address.partition("://") for address in addresses)
    return [
        f"address {number} ({service[:20]})" if separator else f"address {number}"
        for number, (service, separator, _) in enumerate(services, 1)
    ]


def _print(text: str) -> None:
    print(text, file=sys.stderr)
