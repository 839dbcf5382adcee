"""Every page opens from Home on its default request, without an error, and survives nonsense in the address."""

import time

import pytest

from tests.app.helpers import PAGES, errors, open_home, open_page, settle
from ui.home import SETTLE_SECONDS


def test_home_opens_with_live_samples():
    at = open_home().run()
    time.sleep(SETTLE_SECONDS)  # the page is drawn before the first job brings torch in
    at = settle(at.run())
    assert errors(at) == []
    assert at.title[0].value == "Generative AI Lab"
    assert any("Computed when you opened this page" in caption.value for caption in at.caption)


@pytest.mark.parametrize("name", PAGES)
def test_page_opens_and_shows_a_result(name):
    at = open_page(name)
    assert errors(at) == []
    assert len(at.title) == 1
    bad = open_page(name, seed="-3", no_such_setting="1", model="../../etc/passwd", lens="nowhere")
    assert errors(bad) == []
    said = " ".join(info.value for info in bad.info)
    assert "no_such_setting" in said
