"""Tables in Markdown: what they write, and that they keep pandas out of memory."""

import subprocess
import sys

import pytest

from ui import tables


@pytest.fixture
def written(monkeypatch):
    lines = []
    monkeypatch.setattr(tables.st, "markdown", lines.append)
    return lines


def test_columns_of_all_rows_and_numbers_to_the_right(written):
    tables.table([{"a": 1, "b": "x"}, {"a": 2.5, "c": None}])
    assert written[0].splitlines() == ["| a | b | c |", "| ---: | :--- | :--- |", "| 1 | x |  |", "| 2.5 |  |  |"]
    tables.table([])
    assert len(written) == 1


def test_text_is_never_markup(written):
    tables.facts({"prompt": "a|b <b>[x](http://y) $1$\n| c"})
    rows = written[0].splitlines()
    assert len(rows) == 3 and r"a\|b \<b\>\[x\]\(http\:\/\/y\) \$1\$ \| c" in rows[2]


def test_no_page_needs_pandas_for_a_table():
    code = "import sys, streamlit\nfrom ui import tables\ntables.facts({'a': 1})\nassert 'pandas' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-500:]
