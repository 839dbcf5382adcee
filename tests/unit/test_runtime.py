"""Loading inside the budget, the catalog, and the command line."""

import json
import os
import subprocess
import sys
import threading
import types

import pytest
import threadpoolctl

from core import catalog
from core.__main__ import main
from core.catalog import Entry
from core.errors import DoesNotFit, Unavailable, UnknownModel
from core.runtime import devices, memory, models

CARD = """---
id: {id}
title: Model {id}
role: generator
family: gan
modality: image
year: 2014
paper: https://example.org
source: embedded
licence: MIT
parameters: 10
bytes: 20
memory_mb: {memory_mb}
quality: {{frechet: 1.5}}
---
Prose.
"""


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """A catalog of three fake models and one malformed card."""
    loads = []
    module = types.ModuleType("fake_loader")

    def load(card, device):
        loads.append(card.id)
        if card.id == "broken":
            raise RuntimeError("bad header\nmore")
        return f"model {card.id}"

    module.load = load
    monkeypatch.setitem(sys.modules, "fake_loader", module)
    monkeypatch.setattr(catalog, "MODELS_DIR", tmp_path)
    monkeypatch.setattr(catalog, "HUB_DIR", tmp_path / "hub")
    entries = [
        Entry(i, "fake_loader:load", "tests.fake_pipeline:FakeRequest") for i in ("a", "b", "huge", "broken", "bad")
    ]
    monkeypatch.setattr(catalog, "MODELS", entries)
    for entry in entries:
        (tmp_path / entry.id).mkdir()
        size = 100_000 if entry.id == "huge" else 1
        text = CARD.format(id=entry.id, memory_mb=size)
        (tmp_path / entry.id / "README.md").write_text(text.replace("family: gan\n", "") if entry.id == "bad" else text)
    monkeypatch.setattr(models.devices, "setup", lambda: None)
    monkeypatch.setattr(models.lean, "without_compiler", lambda: None)
    monkeypatch.setattr(models.devices, "device", lambda: "cpu")
    monkeypatch.setattr(models, "TORCH_MB", 0.0)
    catalog.reload()
    models.release_all()
    yield loads
    models.release_all()
    catalog.reload()


def test_a_malformed_card_is_named_and_hides_no_other(shelf):
    assert [card.id for card in catalog.cards()] == ["a", "b", "huge", "broken"]
    assert len(catalog.problems()) == 1 and "bad" in catalog.problems()[0] and "family" in catalog.problems()[0]
    with pytest.raises(UnknownModel, match="family"):
        catalog.card("bad")


def test_a_model_loads_once_even_when_asked_twice_at_once(shelf):
    def use():
        with models.lease("a") as (model,):
            assert model == "model a"

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert shelf == ["a"]
    assert list(models.loaded()) == ["a"]


def test_the_least_recently_used_goes_first(shelf, monkeypatch):
    for name in ("a", "b", "a"):
        with models.lease(name):
            pass
    sizes = iter([1e6, 0, 0, 0])  # over budget once, then there is room
    monkeypatch.setattr(memory, "rss_mb", lambda: next(sizes, 0))
    models._make_room(catalog.card("a"))
    assert list(models.loaded()) == ["a"]


def test_a_model_in_use_is_not_released(shelf):
    with models.lease("a"):
        assert not models.release("a")
    assert models.release("a")


def test_what_cannot_fit_is_refused_before_loading(shelf):
    with pytest.raises(DoesNotFit, match=r"100,000 MB.*choose a smaller model"), models.lease("huge"):
        pass
    assert shelf == []


def test_a_broken_file_gets_one_sentence(shelf):
    with pytest.raises(Unavailable, match="cannot be read") as error, models.lease("broken"):
        pass
    assert "\n" not in str(error.value)


def test_models_json(shelf, capsys):
    assert main(["models", "--json"]) == 0
    out = capsys.readouterr()
    listed = json.loads(out.out)
    assert [entry["id"] for entry in listed] == ["a", "b", "huge", "broken"]
    wanted = [
        "id",
        "title",
        "role",
        "family",
        "modality",
        "year",
        "paper",
        "source",
        "licence",
        "parameters",
        "bytes",
        "memory_mb",
        "quality",
    ]
    assert set(wanted) <= set(listed[0])
    assert "bad" in out.err


@pytest.mark.parametrize(
    "arguments, says",
    [
        ([], "required"),
        (["frobnicate"], "invalid choice"),
        (["run"], "required"),
        (["run", "nope", "--out", "x.png"], "no model"),
        (["run", "a"], "--out"),
        (["run", "a", "--out", "x"], "no known format"),
        (["run", "a", "--out", "x.wav"], "does not hold image"),
        (["run", "a", "--out", "no/such/folder/x.png"], "does not exist"),
        (["run", "a", "--out", "x.png", "--seed", "-4"], "from 0 to"),
        (["run", "a", "--out", "x.png", "--seed", "seven"], "whole number"),
        (["run", "a", "--out", "x.png", "--count", "0"], "from 1 to 64"),
        (["run", "a", "--out", "x.png", "--count", "1000"], "from 1 to 64"),
        (["run", "a", "--out", "x.png", "--set", "guidance_scale"], "has no"),
        (["run", "a", "--out", "x.png", "--set", "guidance_scale=nan"], "from 0 to 30"),
        (["run", "a", "--out", "x.png", "--set", "guidance_scale="], "from 0 to 30"),
        (["run", "a", "--out", "x.png", "--set", "colour=red"], "no"),
        (["run", "a", "--out", "x.png", "--set", "scheduler=magic"], "choose one of"),
        (["run", "a", "--out", "x.png", "--prompt", "p" * 41], "shorten"),
        (["run", "huge", "--out", "x.png"], "MB"),
        (["run", "broken", "--out", "x.png"], "cannot be read"),
    ],
)
def test_bad_command_lines_get_one_sentence_and_no_file(shelf, capsys, tmp_path, monkeypatch, arguments, says):
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    assert main(arguments) == 2
    error = capsys.readouterr().err.strip()
    assert says in error and "\n" not in error and "Traceback" not in error
    assert list(work.iterdir()) == []


def test_run_writes_the_same_bytes_again_and_numbered_files(shelf, tmp_path, capsys):
    work = tmp_path / "work"
    work.mkdir()
    assert main(["run", "a", "--out", str(work / "one.png"), "--seed", "6"]) == 0
    assert main(["run", "a", "--out", str(work / "n-{seed}.png"), "--seed", "5", "--count", "3", "--json"]) == 0
    assert sorted(p.name for p in work.iterdir()) == ["n-5.png", "n-6.png", "n-7.png", "one.png"]
    assert (work / "n-6.png").read_bytes() == (work / "one.png").read_bytes()
    records = json.loads(capsys.readouterr().out.split("\n", 1)[1])
    assert [record["seeds"] for record in records] == [[5], [6], [7]]


def test_listing_models_imports_no_torch():
    code = "import sys; from core.__main__ import main; main(['models', '--json']); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


def test_every_card_of_the_lab_is_well_formed():
    catalog.reload()
    assert catalog.problems() == []


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one core has one thread")
def test_sums_of_numpy_do_not_depend_on_the_number_of_cores():
    threadpoolctl.threadpool_limits(2)
    devices.setup.cache_clear()
    devices.setup()
    assert {pool["num_threads"] for pool in threadpoolctl.threadpool_info()} == {1}
