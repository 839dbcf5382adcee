"""The sandbox computes, and every way out is shut."""

import os
from pathlib import Path

import pytest

from core.chat import sandbox

pytestmark = pytest.mark.skipif(not sandbox.available(), reason="needs Linux")


def test_it_computes_and_compares_outside() -> None:
    outcome = sandbox.run(
        "import math\ndef f(x):\n    print('hi', x)\n    return math.factorial(x)", ["f(5)", "f('a')"]
    )
    assert outcome.values[0] == ("120", "") and outcome.values[1][1].startswith("TypeError")
    assert outcome.printed == "hi 5\nhi a"
    assert sandbox.passed(outcome, [("f(5)", "120"), ("f('a')", "1")]) == [True, False]


def test_a_broken_answer_names_its_error() -> None:
    assert sandbox.run("def f(:").error.startswith("SyntaxError")
    assert sandbox.run("raise SystemExit").error.startswith("SystemExit")


ESCAPES = {
    "read a file": "open('/etc/passwd').read()",
    "write a file": "open('/tmp/chat-escape', 'w').write('x')",
    "write where it stands": "import io\nio.FileIO('chat-escape', 'w')",
    "list a folder": "import posix\nposix.listdir('/')",
    "remove a file": "import posix\nposix.unlink('/tmp/chat-kept')",
    "rename a file": "import posix\nposix.rename('/tmp/chat-kept', '/tmp/chat-escape')",
    "make a folder": "import posix\nposix.mkdir('/tmp/chat-escape')",
    "fork": "import posix\nposix.fork()",
    "fork bomb": "import posix\nwhile True:\n    posix.fork()",
    "start a program": "import posix\nposix.execv('/bin/sh', ['sh', '-c', 'touch /tmp/chat-escape'])",
    "start a shell": "import posix\nif posix.system('touch /tmp/chat-escape'):\n    raise OSError",
    "start a thread": "import _thread\n_thread.start_new_thread(print, ())",
    "open a socket": "import ctypes\nif ctypes.CDLL(None).socket(2, 1, 0) < 0:\n    raise OSError",
    "kill the parent": "import posix\nposix.kill(posix.getppid(), 9)",
    "lift its limits": "import resource\nresource.setrlimit(resource.RLIMIT_CPU, (60, 60))",
    "trace its parent": "import ctypes\nif ctypes.CDLL(None).ptrace(16, 1, 0, 0) < 0:\n    raise OSError",
    "map a file": "import ctypes\nl = ctypes.CDLL(None)\nif l.open(b'/etc/passwd', 0) < 0:\n    raise OSError",
    "use up memory": "x = [0] * 10**9",
    "use up memory slowly": "x = []\nwhile True:\n    x.append(bytearray(10**6))",
    "never end": "while True:\n    pass",
    "sleep for ever": "import time\ntime.sleep(1000)",
    "write without end": "import sys\nwhile True:\n    sys.stdout.write('x' * 10**6)",
    "recurse without end": "def g():\n    return g()\ng()",
    "break out of its names": "().__class__.__base__.__subclasses__()\nimport io\nio.open_code('/etc/passwd')",
}


@pytest.mark.parametrize("attempt", ESCAPES)
def test_escapes_fail(attempt: str) -> None:
    kept = Path("/tmp/chat-kept")
    kept.write_text("kept")
    outcome = sandbox.run(ESCAPES[attempt], ["1 + 1"], seconds=1)
    assert outcome.error, attempt
    assert outcome.values == ()
    assert kept.read_text() == "kept" and not Path("/tmp/chat-escape").exists()


def test_keys_in_the_environment_are_out_of_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    outcome = sandbox.run("import os", ["dict(os.environ)", "open(f'/proc/{os.getppid()}/environ').read()"])
    assert os.environ["OPENAI_API_KEY"] not in str(outcome)
    assert "KEY" not in outcome.values[0][0] and outcome.values[1][1].startswith("PermissionError")
