"""One full-size model at a time, and a library's loop as a generator."""

import threading

import pytest

from core.errors import BadRequest, DoesNotFit, Unavailable
from core.runtime.aside import aside
from core.runtime.shelf import Shelf


@pytest.fixture(autouse=True)
def room(monkeypatch):
    monkeypatch.setenv("LAB_MEMORY_MB", "20000")


def test_a_model_is_loaded_once_and_let_go_for_the_next():
    shelf, loaded = Shelf(), []

    def load():
        loaded.append(1)
        return object()

    first = shelf.take("a/one", lambda: 1.0, load)
    assert shelf.take("a/one", lambda: 1.0, load) is first and len(loaded) == 1
    shelf.take("a/two", lambda: 1.0, load)
    assert shelf.take("a/one", lambda: 1.0, load) is not first and len(loaded) == 3


def test_what_cannot_run_or_fit_is_refused_in_a_sentence():
    shelf = Shelf()
    kept = shelf.take("a/kept", lambda: 1.0, object)

    def refuse():
        raise BadRequest("It is no model.")

    with pytest.raises(BadRequest):
        shelf.take("a/bad", refuse, object)
    assert shelf.take("a/kept", lambda: 1.0, object) is kept  # the old one stands
    with pytest.raises(DoesNotFit, match="huge needs about"):
        shelf.take("a/huge", lambda: 1e6, object)
    with pytest.raises(Unavailable, match=r"broken cannot be loaded \(division"):
        shelf.take("a/broken", lambda: 1.0, lambda: 1 / 0)


def test_what_a_loop_puts_comes_out_and_what_it_raises_is_raised():
    seen = []

    def work(put):
        seen.append(threading.current_thread().name)
        put(1)
        put(None)
        raise ValueError("enough")

    items = aside(work, "lab-test")
    assert [next(items), next(items)] == [1, None]
    with pytest.raises(ValueError, match="enough"):
        next(items)
    assert seen == ["lab-test"]
