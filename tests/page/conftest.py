"""A real browser for the page, where there is one.

Playwright drives the Chromium that is installed. Without either, these tests are skipped and say
why; with ``LAYERLENS_BROWSER=required`` in the environment that is an error.
"""

import os
import shutil
from pathlib import Path

import pytest
from tests.page.browsing import Visit
from tests.page.results import HOSTILE, hostile_result, six_layers

REQUIRED = os.environ.get("LAYERLENS_BROWSER") == "required"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def without(reason):
    if REQUIRED:
        pytest.fail(f"LAYERLENS_BROWSER=required, and {reason}")
    pytest.skip(f"no browser to test the page in: {reason}")


@pytest.fixture(scope="session", name="chromium")
def chromium_fixture():
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        without('playwright is not installed (the extra "browser")')
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        without("there is no chromium on the path")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--enable-unsafe-swiftshader"]
        )
        yield browser
        browser.close()


@pytest.fixture(name="visit")
def visit_fixture(chromium):
    """Open pages as a person does who has no network; what they say and ask for is kept."""
    visits = []

    def visit(path, **options):
        visits.append(Visit(chromium, path, **options))
        return visits[-1]

    yield visit
    for each in visits:
        each.close()


@pytest.fixture(scope="session", name="six")
def six_fixture():
    return six_layers()


@pytest.fixture(scope="session", name="page_file")
def page_file_fixture(six, tmp_path_factory):
    return six.embeddings.save(tmp_path_factory.mktemp("page") / "six layers #1.html")


@pytest.fixture(scope="session", name="hostile_file")
def hostile_file_fixture(tmp_path_factory):
    return hostile_result().save(tmp_path_factory.mktemp("page") / "hostile.html", title=HOSTILE[0])


@pytest.fixture(scope="session", name="pictures")
def pictures_fixture():
    """Where screenshots go: into the documentation if asked to, else nowhere that stays."""
    folder = os.environ.get("LAYERLENS_PICTURES")
    return Path(folder) if folder else None
