"""Run a short piece of untrusted Python in a subprocess that can compute and nothing else.

The child starts isolated (no site packages, empty environment, no open files but its pipes), limits its own CPU time,
memory and file size, and then puts on a seccomp filter that allows some twenty system calls: reading and writing what
is open, memory, clock, exit. Opening any file, sockets, new processes or threads, signals to others: all refused by the
kernel. Where the kernel offers no seccomp (anything but Linux on x86-64 or ARM64) nothing is run.

The child never sees the expected values: it sends back what each call gave, and the parent compares.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import threading
import time
from dataclasses import dataclass

from core.errors import Unavailable

SECONDS, MEMORY_MB, OUTPUT_BYTES = 2, 192, 65536

# system call numbers: read write close fstat lseek mmap mprotect munmap brk sigaction sigprocmask sigreturn mremap
# madvise exit exit_group futex clock_gettime getrandom sched_yield gettimeofday sigaltstack restart_syscall
_CALLS = {
    "x86_64": (
        0xC000003E,
        (0, 1, 3, 5, 8, 9, 10, 11, 12, 13, 14, 15, 25, 28, 60, 231, 202, 228, 318, 24, 96, 131, 219),
    ),
    "aarch64": (
        0xC00000B7,
        (63, 64, 57, 80, 62, 222, 226, 215, 214, 134, 135, 139, 216, 233, 93, 94, 98, 113, 278, 124, 169, 132, 128),
    ),
}

_CHILD = r"""
import sys, json, ctypes, resource
import math, re, itertools, functools, collections, string, random, operator, datetime, statistics, heapq, bisect
job = json.loads(sys.stdin.buffer.read())
for what, limit in ((resource.RLIMIT_CPU, job["seconds"]), (resource.RLIMIT_AS, job["memory"]),
                    (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_CORE, 0), (resource.RLIMIT_NOFILE, 3)):
    resource.setrlimit(what, (limit, limit))
class Line(ctypes.Structure):
    _fields_ = [("code", ctypes.c_ushort), ("yes", ctypes.c_ubyte), ("no", ctypes.c_ubyte), ("k", ctypes.c_uint)]
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("lines", ctypes.POINTER(Line))]
KILL, REFUSE, ALLOW = 0x80000000, 0x00050001, 0x7FFF0000
calls = job["calls"]
lines = [(0x20, 0, 0, 4), (0x15, 1, 0, job["arch"]), (0x06, 0, 0, KILL), (0x20, 0, 0, 0)]
lines += [(0x15, len(calls) - i, 0, call) for i, call in enumerate(calls)]
lines += [(0x06, 0, 0, REFUSE), (0x06, 0, 0, ALLOW)]
program = Program(len(lines), (Line * len(lines))(*[Line(*line) for line in lines]))
libc = ctypes.CDLL(None, use_errno=True)
zero = ctypes.c_ulong(0)
one, two = ctypes.c_ulong(1), ctypes.c_ulong(2)
if libc.prctl(38, one, zero, zero, zero) or libc.prctl(22, two, ctypes.byref(program), zero, zero):
    sys.stdout.write(json.dumps({"refused": "the kernel refused the seccomp filter"}))
    sys.exit(0)
def say(error):
    return {"error": type(error).__name__ + ": " + str(error)[:200]}
space, results = {"__name__": "answer"}, []
printed = []
space["print"] = lambda *things, **_: printed.append(" ".join(map(str, things))[:500]) if len(printed) < 100 else None
try:
    exec(compile(job["code"], "answer", "exec"), space)
    for call in job["tests"]:
        try:
            results.append({"value": repr(eval(compile(call, "test", "eval"), space))[:2000]})
        except BaseException as error:
            results.append(say(error))
    out = {"results": results, "printed": printed}
except BaseException as error:
    out = {**say(error), "results": results, "printed": printed}
sys.stdout.write(json.dumps(out))
sys.stdout.flush()
"""


@dataclass(frozen=True)
class Outcome:
    """What a run gave.

    values: one (value's repr or "", error or "") a test, in order; error: what stopped the whole run, or "";
    printed: what the code printed; seconds: wall time.
    """

    values: tuple[tuple[str, str], ...]
    error: str
    printed: str
    seconds: float


def available() -> bool:
    """Whether this machine can lock code in."""
    return sys.platform == "linux" and platform.machine() in _CALLS


def run(
    code: str, tests: list[str] | tuple[str, ...] = (), seconds: int = SECONDS, memory_mb: int = MEMORY_MB
) -> Outcome:
    """Define `code`, evaluate each expression of `tests` after it, and return what came out.

    seconds: CPU and about wall time, 1 to 30; memory_mb: address space of the child. Raises Unavailable where code
    cannot be locked in.
    """
    if not available():
        raise Unavailable("Code is run only on Linux (x86-64 or ARM64), where the kernel can lock it in.")
    arch, calls = _CALLS[platform.machine()]
    job = json.dumps(
        {
            "code": code,
            "tests": list(tests),
            "seconds": seconds,
            "memory": memory_mb * 2**20,
            "arch": arch,
            "calls": calls,
        }
    ).encode()
    started = time.perf_counter()
    child = subprocess.Popen(
        [sys.executable, "-I", "-S", "-B", "-c", _CHILD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={},
        cwd="/",
        close_fds=True,
        start_new_session=True,
    )
    late = threading.Timer(seconds + 8, child.kill)  # a sleeping child uses no CPU time; starting up is slow when busy
    late.start()
    try:
        assert child.stdin is not None and child.stdout is not None
        try:
            child.stdin.write(job)
            child.stdin.close()
        except BrokenPipeError:
            pass  # the child died at once; its exit code says so below
        raw = child.stdout.read(OUTPUT_BYTES + 1)
    finally:
        child.kill()
        late.cancel()
        child.wait()
        child.stdout.close()  # type: ignore[union-attr]
    spent = time.perf_counter() - started
    if len(raw) > OUTPUT_BYTES:
        return Outcome((), "It wrote too much and was stopped.", "", spent)
    try:
        out = json.loads(raw)
        values = tuple((str(r.get("value", "")), str(r.get("error", ""))) for r in out.get("results", ()))
        printed = "\n".join(map(str, out.get("printed", ())))[:5000]
    except (ValueError, AttributeError, TypeError):
        return Outcome(
            (), f"It was stopped: more than {seconds} s, {memory_mb} MB, or a way out that is shut.", "", spent
        )
    if "refused" in out:
        raise Unavailable("The kernel refuses the lock (seccomp), so code is shown here but not run.")
    return Outcome(values, str(out.get("error", "")), printed, spent)


def passed(outcome: Outcome, expected: list[tuple[str, str]] | tuple[tuple[str, str], ...]) -> list[bool]:
    """For each (call, expected repr): whether the run gave exactly that."""
    values = [*outcome.values, *[("", "not run")] * (len(expected) - len(outcome.values))]
    return [not error and value == want for (value, error), (_, want) in zip(values, expected, strict=False)]
