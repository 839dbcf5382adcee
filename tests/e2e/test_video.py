"""The video page in Chromium: the film plays, has the right length and rate, and carries its record."""

import io
import os
import re
from pathlib import Path

import pytest


def test_a_film_is_made_plays_and_is_downloaded_with_its_record(app, browser):
    import av

    from core import provenance

    page = browser.new_page(viewport={"width": 1400, "height": 1000}, accept_downloads=True)
    page.set_default_timeout(240_000)
    page.goto(f"{app}/Video?num_inference_steps=4&seed=7&lens=Learn")
    page.get_by_role("heading", name="Video").wait_for()
    page.keyboard.press("Escape")  # whatever dialog the server shows on a direct address
    video = page.locator("video").first
    video.wait_for()
    page.wait_for_function("document.querySelector('video').readyState >= 2")
    assert video.evaluate("v => v.duration") == pytest.approx(2.0, abs=0.15)  # 16 frames, 8 a second
    assert video.evaluate("v => v.videoWidth") == 480
    page.wait_for_function("document.querySelector('video').currentTime > 0.2")  # it plays
    page.get_by_text(re.compile("Computed .* ai-generated")).first.wait_for()
    page.get_by_role("button", name=re.compile("Download")).first.click()
    with page.expect_download() as caught:
        page.get_by_role("button", name=re.compile("MP4")).first.click()
    data = Path(caught.value.path()).read_bytes()
    meta = provenance.read(data)
    assert meta["model"] == "video-dit" and meta["seeds"] == [7] and meta["ai_generated"]
    with av.open(io.BytesIO(data)) as file:
        stream = file.streams.video[0]
        assert stream.codec_context.name == "h264" and stream.average_rate == 8
        assert sum(1 for _ in file.decode(stream)) == 16
    if folder := os.environ.get("LAB_SCREENSHOTS"):
        page.screenshot(path=f"{folder}/video.png", full_page=True)
    page.close()
