"""Sound in a browser: the page plays and the position moves."""

from __future__ import annotations

import re

SLUG = "Sound"


def wait_for_run(page, words: str = "Computed") -> None:
    page.get_by_text(words).first.wait_for()


def test_generate_plays_with_a_moving_position(app, page):
    page.goto(app)  # a server that has drawn no page yet knows no addresses
    page.wait_for_selector("h1")
    page.goto(f"{app}/{SLUG}?seconds=1.0&prompt=a+siren")
    wait_for_run(page)
    # ours, not the recorded clip that stood there; the page may put another player in its place while it settles
    page.wait_for_function(
        """() => {
        const roots = [...document.querySelectorAll('*')].map(e => e.shadowRoot);
        const root = roots.find(r => r?.querySelector('audio')?.duration < 1.5);
        if (!root) return false;
        const audio = root.querySelector('audio'), left = parseFloat(root.querySelector('.cursor').style.left);
        if (audio.currentTime !== 0.5) audio.currentTime = 0.5;
        return 30 < left && left < 70;
        }"""
    )
    assert "seconds=1" in page.url and re.search("prompt=a(\\+|%20)siren", page.url)


def test_a_melody_is_drawn_and_lives_in_the_address(app, page):
    page.goto(app)
    page.wait_for_selector("h1")
    page.goto(f"{app}/{SLUG}?work=Score&score_seconds=4")
    wait_for_run(page)
    page.get_by_text("Draw it").click()
    grid = page.get_by_label("Melody: empty")
    grid.wait_for()
    box = None  # the run may still move the page: its place, once that holds still
    while (now := grid.bounding_box()) != box:
        box = now
        page.wait_for_timeout(1000)
        grid.scroll_into_view_if_needed()

    def place(row: int, beat: int) -> tuple[float, float]:
        """The middle of a cell of 15 white keys (C4 is 0) by 16 beats; the names of the keys take 34 px on the left."""
        across, high = (box["width"] - 38) / 16, (box["height"] - 8) / 15
        return box["x"] + 34 + (beat + 0.5) * across, box["y"] + 4 + (14.5 - row) * high

    page.mouse.move(*place(0, 0))
    page.mouse.down()
    page.mouse.move(*place(4, 4))  # one stroke, a note for each beat that it passes
    page.mouse.up()
    page.mouse.click(*place(7, 6))
    page.get_by_label("Melody: C4 D4 E4 F4 G4 - C5").wait_for()
    page.wait_for_function("() => location.search.includes('melody=C4+D4+E4+F4+G4+-+C5')")
    wait_for_run(page)
