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
    audio = page.locator("audio").first
    audio.wait_for(state="attached")
    page.wait_for_function(
        "() => [...document.querySelectorAll('*')].some(e => e.shadowRoot?.querySelector('audio')?.duration > 0.9)"
    )
    moved = page.evaluate(
        """async () => {
        const root = [...document.querySelectorAll('*')].map(e => e.shadowRoot).find(r => r?.querySelector('audio'));
        const audio = root.querySelector('audio');
        audio.currentTime = 0.5;
        await new Promise(done => setTimeout(done, 500));
        return parseFloat(root.querySelector('.cursor').style.left);
        }"""
    )
    assert 30 < moved < 70
    assert "seconds=1" in page.url and re.search("prompt=a(\\+|%20)siren", page.url)
