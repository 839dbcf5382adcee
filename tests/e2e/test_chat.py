"""The chat page in Chromium: it answers, survives a reload, keeps two browsers apart, and runs no markup."""

HEADING = "Generative AI Lab"
NASTY = "<img src=x onerror=\"document.title='owned'\"> **bold** what colour is the hair"


def visit(page, app):
    """Home first: Streamlit calls a page unknown until the app has run once."""
    page.goto(app)
    page.get_by_role("heading", name=HEADING).first.wait_for()
    page.goto(f"{app}/Chat")
    page.get_by_text("computed now").first.wait_for()


def messages(page):
    return page.locator('[data-testid="stChatMessage"]')


def test_it_answers_survives_a_reload_and_keeps_two_browsers_apart(app, page, browser):
    visit(page, app)
    assert messages(page).count() == 2
    page.get_by_placeholder("Ask about a portrait").fill(NASTY)
    page.keyboard.press("Enter")
    messages(page).nth(3).get_by_text("computed now").wait_for()
    assert "**bold**" in messages(page).nth(2).inner_text()  # shown as written
    assert page.title() != "owned" and page.locator('img[src="x"]').count() == 0

    other = browser.new_context().new_page()
    other.set_default_timeout(180_000)
    visit(other, app)
    assert messages(other).count() == 2
    assert "**bold**" not in other.inner_text("body")
    other.context.close()

    page.wait_for_url("**_chat=*")
    page.reload()
    messages(page).nth(3).get_by_text("computed now").wait_for()
    assert "**bold**" in messages(page).nth(2).inner_text()


def test_it_fits_a_phone(app, page):
    page.set_viewport_size({"width": 390, "height": 844})
    visit(page, app)
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 391
