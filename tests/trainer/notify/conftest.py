"""A server that receives notifications."""

from __future__ import annotations

import pytest

from tests.support.notification_server import NotificationServer


@pytest.fixture
def server():
    started = NotificationServer()
    yield started
    started.close()
