"""What the commands are tried with."""

import pytest


@pytest.fixture(name="browser")
def browser_fixture(monkeypatch):
    """Pages that were opened, in a machine with a display."""
    opened = []
    monkeypatch.setenv("DISPLAY", ":7")
    monkeypatch.setattr("webbrowser.open", lambda uri: opened.append(uri) or True)
    return opened
