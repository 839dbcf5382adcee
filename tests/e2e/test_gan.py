"""The GAN playground in Chromium: the canvas redraws while it trains, pauses, draws own points, fits a phone."""

import re

FRAMES = """() => { let found = 0; const walk = (n) => {
  if (n.dataset && n.dataset.frames) found = Math.max(found, Number(n.dataset.frames));
  if (n.shadowRoot) walk(n.shadowRoot);
  for (const child of n.children || []) walk(child); };
  walk(document.body); return found; }"""
INKED = """() => { let inked = 0; const walk = (n) => {
  if (n.tagName === 'CANVAS' && n.closest && n.width) {
    const d = n.getContext('2d').getImageData(0, 0, n.width, n.height).data;
    for (let i = 3; i < d.length; i += 4) if (d[i] > 200) inked += 1; }
  if (n.shadowRoot) walk(n.shadowRoot);
  for (const child of n.children || []) walk(child); };
  walk(document.body); return inked; }"""


def visit(page, app, address):
    page.goto(f"{app}/{address}")
    page.get_by_text("Two small networks").wait_for()


def test_it_trains_while_one_watches_and_rests(app, page):
    visit(page, app, "GAN_playground?limit=20000")
    page.wait_for_function(f"() => ({FRAMES})() >= 3")
    for _ in range(60):  # a click that falls into a redraw is lost: press again
        if page.get_by_text("at rest").count():
            break
        pause = page.get_by_role("button", name="Pause")
        if pause.count():
            pause.dispatch_event("click")
        page.wait_for_timeout(3000)
    page.get_by_text("at rest").wait_for()
    assert page.evaluate(INKED) > 500
    first = page.evaluate(FRAMES)
    page.get_by_role("button", name="D step", exact=True).click()
    page.wait_for_function(f"(first) => ({FRAMES})() > first", arg=first)
    page.get_by_text("at rest").wait_for()


def test_own_points_are_drawn_and_learned(app, page):
    visit(page, app, "GAN_playground?limit=200&data=own")
    sketch = page.get_by_label("Draw points here")
    sketch.wait_for()
    page.get_by_role("button", name="Clear").click()
    sketch.scroll_into_view_if_needed()
    box = sketch.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + box["height"] * 0.5)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + box["height"] * 0.5, steps=12)
    page.mouse.up()
    page.get_by_role("button", name="Use these points").click()
    page.get_by_text(re.compile("^(1[0-9]|[4-9]) points. They stay")).wait_for()


def test_it_fits_a_phone(app, page):
    page.set_viewport_size({"width": 390, "height": 844})
    visit(page, app, "GAN_playground?limit=200")
    page.wait_for_function(f"() => ({FRAMES})() >= 1")
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 391
