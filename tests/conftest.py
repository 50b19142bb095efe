"""Settings every test runs under, and the fixtures they share."""

import collections
import gc
import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

import keras
import pytest


def pytest_collection_modifyitems(items):
    """Files with many slow tests come first: at the end both processes have some left to do."""
    slow = collections.Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])


@pytest.fixture(autouse=True)
def _seeded(monkeypatch, tmp_path):
    """Seeds every generator and keeps the preset store inside the test's own folder."""
    keras.utils.set_random_seed(0)
    monkeypatch.setattr("keras_cr._progress._SHORT", float("inf"))  # a slow machine says no more
    monkeypatch.setenv("KERAS_CR_HOME", str(tmp_path / "keras_cr_home"))
    yield
    keras.utils.clear_session(free_memory=False)


@pytest.fixture(scope="module", autouse=True)
def _freed():
    """Frees what a file's tests have trained, so that later ones don't look through it for garbage.

    What is still there has come to stay, imported modules above all: it is not looked at again.
    """
    from keras_cr._graphs import graphs_freed

    with graphs_freed():
        yield
    gc.freeze()


@pytest.fixture(params=["lfs"])
def hub(request, tmp_path, monkeypatch):
    """A running Hub; "lfs" or "xet" is how large files travel."""
    from tests.hub.client import TOKENS, point_at
    from tests.hub.server import HubServer

    xet = request.param == "xet"
    with HubServer(tmp_path / "server", tokens=TOKENS, xet=xet) as server:
        point_at(server.url, tmp_path / "client", monkeypatch, xet)
        yield server


@pytest.fixture(scope="module")
def browser():
    """A browser without a window; for tests that are marked with `needs_browser`."""
    from tests.browser import ARGUMENTS, BROWSER, playwright

    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=BROWSER, args=ARGUMENTS)
        yield browser
        browser.close()
