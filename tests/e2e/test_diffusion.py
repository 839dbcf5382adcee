"""The diffusion pages in Chromium: the scrubber moves in the browser, a word lights up, the strip fills."""

import os
import re


def test_the_scrubber_moves_and_words_light_up(app, page):
    page.goto(f"{app}/Diffusion_steps?num_inference_steps=4&seed=7&lens=Words")
    page.get_by_text(re.compile("Computed .* ai-generated")).first.wait_for()
    page.keyboard.press("Escape")  # whatever dialog the server shows on a direct address
    slider = page.get_by_role("slider", name="Step", exact=True).first
    slider.wait_for()
    picture = page.get_by_role("img", name="What it believes is there").first
    last = picture.evaluate("c => c.toDataURL()")
    slider.evaluate("s => { s.value = 0; s.dispatchEvent(new Event('input')); }")
    page.get_by_text("step 1 of 4").first.wait_for()
    assert picture.evaluate("c => c.toDataURL()") != last
    landed = page.get_by_role("img", name="Where the word lands")
    landed.wait_for()
    before = landed.evaluate("c => c.toDataURL()")
    page.get_by_role("button", name="background", exact=True).first.hover()
    page.wait_for_function(
        "([c, before]) => c.toDataURL() !== before", arg=[landed.element_handle(), before]
    )  # another word, another map
    if folder := os.environ.get("LAB_SCREENSHOTS"):
        page.screenshot(path=f"{folder}/diffusion-steps.png", full_page=True)


def test_the_strip_fills(app, page):
    page.goto(f"{app}/CFG_explorer?num_inference_steps=2&scales=0,3&lens=Learn")
    page.get_by_text(re.compile("2 of 2 computed .* ai-generated")).wait_for()
    sheet = page.get_by_alt_text(re.compile("pictures"))
    assert sheet.evaluate("i => i.naturalWidth") > 200
    if folder := os.environ.get("LAB_SCREENSHOTS"):
        page.screenshot(path=f"{folder}/cfg-explorer.png", full_page=True)
