"""One app process and one headless Chromium for all browser tests."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT = 180_000  # ms: two slow cores beside other work; tests wait for what must come, they never time


def start_app(**environment: str):
    """The app on a free port: (process, url), healthy."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "Home.py", "--server.port", str(port)]
    process = subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, **environment}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    url = f"http://127.0.0.1:{port}"
    for _ in range(480):
        assert process.poll() is None, "the app ended"
        try:
            urllib.request.urlopen(f"{url}/_stcore/health", timeout=2).read()
            return process, url
        except (OSError, urllib.error.URLError):
            time.sleep(0.25)
    raise AssertionError("the app did not answer")


@pytest.fixture(scope="session")
def app():
    """Address of a running app."""
    process, url = start_app()
    yield url
    process.terminate()
    process.wait(30)


@pytest.fixture(scope="session")
def browser():
    """Headless Chromium."""
    from playwright.sync_api import sync_playwright

    path = shutil.which("chromium") or shutil.which("google-chrome")
    assert path, "install chromium"
    with sync_playwright() as p:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
        made = p.chromium.launch(executable_path=path, args=[*flags, "--autoplay-policy=no-user-gesture-required"])
        yield made
        made.close()


@pytest.fixture
def page(browser):
    """A fresh tab with a profile of its own."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, accept_downloads=True)
    context.set_default_timeout(TIMEOUT)
    made = context.new_page()
    yield made
    context.close()
