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


def test_figures_as_text_stand_to_the_right_too(written):
    tables.table([{"n": "1,203", "share": "92 %", "kid": "12 (10 to 15)", "who": "2 of us"}, {"n": "7", "share": ""}])
    assert written[0].splitlines()[1] == "| ---: | ---: | ---: | :--- |"


def test_no_component_asks_pandas_about_its_data():
    """Streamlit looks for tables in whatever list or dict a component gets at the first level."""
    code = (
        "import sys, numpy as np\n"
        "from streamlit.components.v2.bidi_component import serialization\n"
        "from ui import diffusion_scrubber as scrubber, points_canvas as canvas\n"
        "sent = []\n"
        "scrubber._mount = canvas._mount = canvas._sketch = lambda **k: sent.append(k['data']) or type('R', (), {'points': []})\n"
        "picture = np.zeros((2, 4, 4, 3), np.uint8)\n"
        "scrubber.scrubber([scrubber.View('x', 'y', picture)], ['a', 'b'], key='k', identity='i', words=[('w', np.zeros((2, 4, 4)))])\n"
        "plane = canvas.plane('p', 'alt', real=np.zeros((3, 2)))\n"
        "canvas.show([plane], 'k', canvas.chart([('l', np.arange(3), np.arange(3), False)], 3, 0, 1, 'alt'))\n"
        "canvas.sketch('k', [(0.0, 1.0)])\n"
        "assert len(sent) == 3\n"
        "for data in sent:\n"
        "    serialization._extract_dataframes_from_dict(data)\n"
        "assert 'pandas' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-500:]
