"""The code tool: our code model completes a function, token by token, and the sandbox runs it against tests."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st

from core.chat import sandbox, tasks
from core.chat.code import CodeRequest
from core.errors import LabError
from ui import tables
from ui.chat_tokens import strip
from ui.controls import build, control
from ui.stage import stage

KEYS = ("code_own", "code_task", "code_temperature", "code_seed")  # in the address, whichever lens is open


def _task(seed: int) -> tasks.Task:
    """A task whose structure was never trained on."""
    rng = np.random.default_rng(seed + 10_000)
    while True:
        task = tasks.make(rng)
        if task.held_out:
            return task


def draw() -> None:
    """The lens."""
    left, right = st.columns([3, 2])
    with right:
        own = st.toggle("My own docstring", key="code_own", bind="query-params")
        number = st.number_input(
            "Held-out task",
            0,
            999,
            0,
            key="code_task",
            bind="query-params",
            disabled=own,
            help="Its structure (filter, change, reduce and numbers) was never trained on.",
        )
        heat = control(CodeRequest, "temperature", key="code_temperature")
        seed = control(CodeRequest, "seed", key="code_seed")
    tests: list[tuple[str, str]]
    with left:
        if own:
            prompt = st.text_area(
                "Signature and docstring",
                CodeRequest().prompt.rstrip() + "\n",
                key="_code_prompt",
                max_chars=600,
                height=90,
            )
            lines = st.text_area("Tests, one a line", "f([1, 2, 3, 4]) == 20", key="_code_tests", max_chars=2000)
            parts = [line.partition("==") for line in lines.splitlines() if line.strip()][:20]
            tests = [(call.strip(), want.strip()) for call, _, want in parts]
        else:
            task = _task(int(number))
            prompt, tests = task.prompt, tasks.expected(task)
            st.code(prompt.rstrip(), language="python")
        request = build(CodeRequest, prompt=prompt, temperature=heat, seed=seed)
        result = stage(
            request,
            _view,
            key="code",
            preview=_preview,
            details=False,
            height=170,
        )
    with right:
        st.caption(
            "The model knows five kinds of short function: lists, text, numbers, conditions, loops. Outside them it "
            "writes something that looks like code. See its card for the measured pass rate."
        )
        if result is not None:
            st.caption(f"{result.extras['tokens_per_second']:.0f} tokens/s")
            strip([(t["label"], t["modality"], t["probability"]) for t in result.extras["tokens"]])
    if result is None or request is None or result.request != request:
        return
    with left:
        st.button(
            "Run it against the tests",
            key="_code_run",
            type="primary",
            icon=":material/science:",
            on_click=_judge,
            args=(request.digest(), result.extras["code"], tests, own),
        )
        if problem := st.session_state.pop("_code_problem", ""):
            st.error(problem, icon=":material/info:")
        digest, outcome, tests = st.session_state.get("_code_outcome", ("", None, []))
        if digest == request.digest() and outcome is not None:
            _report(outcome, tests)


def _judge(digest: str, code: str, tests: list[tuple[str, str]], own: bool) -> None:
    """Run the code against the tests; wanted values written by hand are evaluated apart from the model's code."""
    try:
        outcome = sandbox.run(code, [call for call, _ in tests])
        if own:
            wanted = sandbox.run("", [want or "None" for _, want in tests]).values
            tests = [(call, value if want else "") for (call, want), (value, _) in zip(tests, wanted, strict=False)]
        st.session_state["_code_outcome"] = (digest, outcome, tests)
    except LabError as error:
        st.session_state["_code_problem"] = str(error)


def _view(result: Any) -> None:
    st.code(result.extras["code"], language="python")


def _preview(job: Any) -> None:
    text = "".join(step.data["label"] for step in list(job.steps) if step.data["modality"] == "text")
    st.code(job.request.prompt.rstrip() + "\n    " + text, language="python")


def _report(outcome: sandbox.Outcome, tests: list[tuple[str, str]]) -> None:
    if outcome.error:
        st.warning(tables.plain(outcome.error[:300]), icon=":material/block:")
    marks = sandbox.passed(outcome, tests)
    judged = [mark for mark, (_, want) in zip(marks, tests, strict=True) if want]
    if judged:
        st.metric("Tests passed", f"{sum(judged)} of {len(judged)}")
    values = [*outcome.values, *[("", "not run")] * len(tests)]
    tables.table(
        [
            {"call": call, "wanted": want, "got": value or error, "passed": ("yes" if mark else "no") if want else ""}
            for (call, want), (value, error), mark in zip(tests, values, marks, strict=False)
        ]
    )
    st.caption(
        f"Ran in {outcome.seconds:.1f} s, locked in: no files, no network, no new processes, "
        f"{sandbox.SECONDS} s, {sandbox.MEMORY_MB} MB."
    )
