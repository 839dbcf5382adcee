"""What the benchmarks share: the app in a process of its own, a browser, and the file of results."""

from __future__ import annotations

import datetime
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results.md"
LOG = ROOT / "runs" / "benchmarks"
BUDGET_MB = 690.0


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def slugs() -> list[str]:
    """Address of every page, Home ("") first; made as Home.py makes them."""
    return ["", *(re.sub(r"^\d+_", "", path.stem) for path in sorted((ROOT / "pages").glob("[0-9]*.py")))]


class App:
    """The app, started as `make app` starts it."""

    def __init__(self, entry: list[str] | None = None, **environment: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        LOG.mkdir(parents=True, exist_ok=True)
        self.log = LOG / f"app-{self.port}.log"
        command = entry or [sys.executable, "-m", "streamlit", "run", "Home.py"]
        options = [
            "--server.port",
            str(self.port),
            "--server.headless",
            "true",
            "--browser.gatherUsageStats",
            "false",
            "--server.fileWatcherType",
            "none",
        ]
        self.started = time.perf_counter()
        with self.log.open("w") as out:
            self.process = subprocess.Popen(
                [*command, *options], cwd=ROOT, stdout=out, stderr=subprocess.STDOUT, env={**os.environ, **environment}
            )

    def wait_healthy(self, timeout: float = 120) -> float:
        """Seconds from the start until the server answers."""
        while time.perf_counter() - self.started < timeout:
            if self.process.poll() is not None:
                break
            try:
                with urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=2):
                    return time.perf_counter() - self.started
            except (urllib.error.URLError, OSError):
                time.sleep(0.05)
        raise SystemExit(f"The app did not start; see {self.log}.")

    def status(self, key: str = "VmRSS") -> float:
        """VmRSS (now) or VmHWM (peak) of the server process in MB (10^6 bytes)."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(rf"{key}:\s+(\d+) kB", text)
        return int(found[1]) * 1024 / 1e6 if found else 0.0

    def maps(self, library: str) -> bool:
        """True when the process has `library` mapped: libtorch says whether torch was imported."""
        return library in Path(f"/proc/{self.process.pid}/maps").read_text()

    def close(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextmanager
def app(entry: list[str] | None = None, **environment: str) -> Iterator[App]:
    server = App(entry, **environment)
    try:
        yield server
    finally:
        server.close()


@contextmanager
def browser() -> Iterator[Any]:
    """A headless Chromium (Playwright)."""
    from playwright.sync_api import sync_playwright

    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    with sync_playwright() as p:
        chromium = p.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        try:
            yield chromium
        finally:
            chromium.close()


# The page's script has run through once it says so; a job may go on beside it.
IDLE = "() => document.querySelector('[data-testid=stApp]')?.dataset.testScriptState === 'notRunning'"


def settled(page: Any, timeout: float = 60) -> float:
    """Wait until the page's script has run and no job of it is active; returns the seconds waited."""
    started = time.perf_counter()
    quiet = 0
    while time.perf_counter() - started < timeout:
        busy = page.get_by_text(re.compile(r"^(Waiting|Loading|Starting) |about .* s left")).count()
        stops = page.get_by_role("button", name="Stop now").all()
        busy = busy or any(button.is_enabled() for button in stops)
        quiet = 0 if busy or not page.evaluate(IDLE) else quiet + 1
        if quiet >= 3:
            break
        time.sleep(0.4)
    return time.perf_counter() - started


def problems(page: Any) -> list[str]:
    """The sentences of all error boxes that are visible on the page."""
    boxes = page.locator("[data-testid=stException], [data-testid=stAlertContentError] p")
    return [box.inner_text()[:200] for box in boxes.all() if box.is_visible()]


def table(head: list[str], rows: list[list[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def record(section: str, text: str) -> None:
    """Print `text` and keep it as the section of this name in results.md, in place of an older one."""
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}"
    body = f"## {section}\n\nMeasured {datetime.date.today()} ({machine}).\n\n{text}\n"
    old = RESULTS.read_text() if RESULTS.is_file() else "# Measured\n\n"
    parts = re.split(r"(?m)^(?=## )", old)
    kept = [part.rstrip() + "\n\n" for part in parts if part.strip() and not part.startswith(f"## {section}\n")]
    part = RESULTS.with_suffix(".part")
    part.write_text("".join(kept) + body)
    part.replace(RESULTS)
    print(body)
