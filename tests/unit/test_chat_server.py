"""The remote chat against a real OpenAI-compatible server: `transformers serve` on a tiny model of random weights."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from core.chat import remote
from core.errors import BadRequest
from core.pipeline import Control
from core.result import Step, TextResult
from tests.unit.test_chat_full_size import llama

PATIENCE = 120  # seconds until the server must answer; it takes 5 on an idle machine


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """(address, the model's name there)."""
    home = tmp_path_factory.mktemp("server")
    model, log = home / "tiny", home / "log"
    (home / "hub").mkdir()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        llama(model)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        Path(sys.executable).with_name("transformers"),
        "serve",
        model,
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    quiet = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(home), "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
    with log.open("w") as out:
        process = subprocess.Popen([*command, "--device", "cpu"], env=os.environ | quiet, stdout=out, stderr=out)
    try:
        end = time.monotonic() + PATIENCE
        while not _healthy(port):
            if process.poll() is not None or time.monotonic() > end:
                pytest.fail(f"transformers serve did not start:\n{log.read_text()[-2000:]}")
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}/v1", str(model)
    finally:
        process.kill()
        process.wait()


def _healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def request(server: tuple[str, str], **more: object) -> remote.RemoteRequest:
    talk = (("user", "hi", b""), ("bot", "hello", b""), ("user", "again", b""))
    settings = {"conversation": talk, "base_url": server[0], "name": server[1], "max_tokens": 24, **more}
    return remote.RemoteRequest(**settings)  # type: ignore[arg-type]


def test_text_streams_in(server: tuple[str, str]) -> None:
    *steps, result = remote.generate(request(server), Control())
    assert isinstance(result, TextResult) and result.complete and not result.extras["fault"]
    assert len(steps) > 3 and all(isinstance(step, Step) and step.data for step in steps)
    assert result.text == "".join(step.data["label"] for step in steps) != ""
    assert 0 < result.extras["first_token"] <= result.seconds
    *_, again = remote.generate(request(server, temperature=0.0), Control())
    assert isinstance(again, TextResult) and again.complete


def test_stop_keeps_what_came_and_the_server_answers_on(server: tuple[str, str]) -> None:
    control, seen = Control(), []
    for item in remote.generate(request(server, max_tokens=400), control):
        seen.append(item)
        if len(seen) == 3:
            control.stop()
    result = seen[-1]
    assert isinstance(result, TextResult) and not result.complete and not result.extras["fault"]
    assert result.steps_run == 3 and result.text == "".join(step.data["label"] for step in seen[:-1])
    *_, after = remote.generate(request(server, max_tokens=4), Control())
    assert isinstance(after, TextResult) and after.complete


def test_a_wrong_name_or_address_is_one_sentence(server: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    *_, result = remote.generate(request(server, name="no-such-model"), Control())
    assert isinstance(result, TextResult) and not result.complete and not result.text
    assert result.extras["fault"].startswith("The endpoint does not accept this request (400); check the model's name")
    *_, result = remote.generate(request(server, base_url=server[0].removesuffix("/v1")), Control())
    assert isinstance(result, TextResult) and "(404)" in result.extras["fault"]
    assert remote.names(server[0], "") == []  # it lists what the hub's cache holds: nothing
    with pytest.raises(BadRequest, match=r"\(404\)"):
        remote.names(server[0] + "/x", "")
