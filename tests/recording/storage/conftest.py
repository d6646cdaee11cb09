import pytest

from layerlens.recording import storing


class _Clock:
    @staticmethod
    def now(zone):
        from datetime import datetime

        return datetime(2026, 1, 2, 3, 4, 5, tzinfo=zone)


@pytest.fixture(autouse=True)
def _same_time(monkeypatch):
    """Recordings of one thing begin at one time, so that their stores can be equal."""
    monkeypatch.setattr(storing, "datetime", _Clock)
