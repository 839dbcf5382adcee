"""Remote endpoints: streaming, retries and every fault as one sentence, against a small real HTTP server."""

import io
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from PIL import Image

from core import provenance
from core.chat import remote
from core.errors import BadRequest
from core.pipeline import Control
from core.result import TextResult


class Fake(BaseHTTPRequestHandler):
    """Behaves as `plan` says; remembers what it was sent."""

    plan: list[str] = []
    seen: list[dict[str, Any]] = []

    def log_message(self, *_: Any) -> None:
        pass

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        Fake.seen.append({"body": json.loads(body), "key": self.headers.get("Authorization")})
        what = Fake.plan.pop(0)
        if what.isdigit():
            data = json.dumps({"error": {"message": "sk-typed <b>secret</b>"}}).encode()
            self.send_response(int(what))
            self.send_header("Content-Type", "application/json")
            self.send_header("retry-after", "0.01")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/html" if what == "html" else "text/event-stream")
        self.end_headers()
        if what == "html":
            self.wfile.write(b"<html>hello</html>")
            return
        if what.startswith("call"):
            name, arguments = what.split(" ", 2)[1:]
            for at in (0, 7):  # in fragments, as endpoints send them
                function = {"name": name if not at else None, "arguments": arguments[at : 7 if not at else None]}
                part = {"index": 0, "id": "c1" if not at else None, "type": "function", "function": function}
                self.chunk({"tool_calls": [part]})
            self.chunk({}, "tool_calls")
            self.wfile.write(b"data: [DONE]\n\n")
            return
        for word in ("One", " two"):
            self.chunk({"content": word})
        if what == "junk":
            self.wfile.write(b"data: {this is no json\n\n")
        elif what == "silence":
            time.sleep(1.5)
        elif what == "good":
            self.chunk({}, "stop")
            self.wfile.write(b"data: [DONE]\n\n")

    def chunk(self, delta: dict[str, Any], finish: str | None = None) -> None:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        chunk = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
        self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
        self.wfile.flush()


@pytest.fixture()
def server() -> Iterator[str]:
    Fake.seen = []
    http = ThreadingHTTPServer(("127.0.0.1", 0), Fake)
    http.daemon_threads = True
    threading.Thread(target=http.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{http.server_port}/v1"
    http.shutdown()
    http.server_close()


def ask(url: str, plan: list[str], **more: Any) -> TextResult:
    Fake.plan = plan
    request = remote.RemoteRequest(conversation=(("user", "hi", b""),), base_url=url, name="m", **more)
    *_, last = remote.generate(request, Control())
    assert isinstance(last, TextResult)
    return last


def test_streams_and_sends_the_key_but_never_holds_it(server: str) -> None:
    handle = remote.keep_key("sk-typed")
    Fake.plan = ["good"]
    request = remote.RemoteRequest(conversation=(("user", "hi", b""),), base_url=server, name="m", key=handle)
    steps = list(remote.generate(request, Control()))
    assert [s.data["label"] for s in steps[:-1]] == ["One", " two"]
    assert steps[-1].text == "One two" and steps[-1].complete and not steps[-1].extras["fault"]
    assert Fake.seen[0]["key"] == "Bearer sk-typed"
    assert "sk-typed" not in json.dumps(request.to_dict()) + repr(request) + repr(steps[-1])


@pytest.mark.parametrize(("fault", "words"), [("401", "key (401)"), ("404", "(404)"), ("418", "(418)")])
def test_refusals_are_one_sentence_and_not_retried(server: str, fault: str, words: str) -> None:
    result = ask(server, [fault])
    assert words in result.extras["fault"] and not result.complete
    assert "sk-typed" not in result.extras["fault"] and "<" not in result.extras["fault"]
    assert len(Fake.seen) == 1


@pytest.mark.parametrize("fault", ["429", "500"])
def test_busy_and_broken_endpoints_are_tried_again(server: str, fault: str) -> None:
    assert ask(server, [fault, "good"]).text == "One two"
    failed = ask(server, [fault] * 3)
    assert f"({fault})" in failed.extras["fault"] and len(Fake.seen) == 5


@pytest.mark.parametrize(("fault", "words"), [("drop", "broke off"), ("junk", "no answer"), ("silence", "silent")])
def test_faults_in_mid_stream_keep_the_partial_text(server: str, fault: str, words: str) -> None:
    result = ask(server, [fault], silence=0.5)
    assert result.text == "One two" and words in result.extras["fault"] and not result.complete
    assert ask(server, ["good"]).complete  # asking again works


def test_what_is_no_chat_endpoint_is_said(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ask(server, ["html"]).extras["fault"]
    monkeypatch.setattr(remote, "RETRIES", 0)
    assert "cannot be reached" in ask("http://127.0.0.1:9/v1", []).extras["fault"]


def test_a_key_of_the_environment_goes_only_to_its_own_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-env")
    assert remote.service_key("https://api.openai.com/v1/") == "sk-env"
    assert remote.service_key("https://api.openai.com.evil.example/v1") == ""


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "http://169.254.169.254/v1", "http://u:p@host/v1", "http://", "x", "http://[::/v1"]
)
def test_addresses_that_are_no_endpoint_are_refused(url: str) -> None:
    with pytest.raises(BadRequest):
        remote.RemoteRequest(conversation=(("user", "hi", b""),), base_url=url, name="m")


def test_a_tool_call_runs_the_labs_own_model_and_the_answer_goes_on(server: str) -> None:
    result = ask(server, ['call draw {"prompt": "a person with red hair"}', "good"], tools=True)
    assert result.text == "One two" and result.complete
    (made,) = result.extras["made"]
    assert made.kind == "image" and "red hair" in made.note
    assert provenance.read(made.data)["model"] == "latent-diffusion"
    first, second = (seen["body"] for seen in Fake.seen)
    assert [tool["function"]["name"] for tool in first["tools"]] == ["draw", "play", "film"]
    asked, told = second["messages"][-2:]
    assert asked["tool_calls"][0]["function"]["name"] == "draw"
    assert told["role"] == "tool" and told["tool_call_id"] == "c1" and told["content"].startswith("Done")


@pytest.mark.parametrize("call", ["call shell {}", 'call draw {"prompt": 3}', "call film {broken", "call play []"])
def test_foolish_tool_calls_are_told_to_the_model(server: str, call: str) -> None:
    result = ask(server, [call, "good"], tools=True)
    assert result.text == "One two" and not result.extras["made"]
    assert not Fake.seen[1]["body"]["messages"][-1]["content"].startswith("Done")


def test_tool_calls_end(server: str) -> None:
    result = ask(server, ["call shell {}"] * (remote.ROUNDS + 1), tools=True)
    assert len(Fake.seen) == remote.ROUNDS + 1 and "tools" not in Fake.seen[-1]["body"]
    assert result.complete
    ask(server, ["good"])  # without leave no tools are offered
    assert "tools" not in Fake.seen[-1]["body"]


def test_turns_in_a_row_are_one_message() -> None:
    talk = (("user", "", _png()), ("user", "compare", _png()), ("bot", "same", b""), ("user", "sure", b""))
    first, second, third = remote.messages(talk)
    assert [part["type"] for part in first["content"]] == ["image_url", "text", "image_url"]
    assert second == {"role": "assistant", "content": "same"} and third == {"role": "user", "content": "sure"}
    (heard,) = remote.messages((("user", "", b""),), ((0, b"RIFF"),))
    assert heard["content"] == [{"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}]
    assert remote.RemoteRequest(conversation=talk, name="m").silence == 60


def _png() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (8, 8)).save(out, "PNG")
    return out.getvalue()
