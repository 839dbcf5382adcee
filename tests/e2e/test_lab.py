"""What all pages share, in a real browser: opening, fitting a phone, share links, restart after a kill."""

import re
import signal

import pytest

from tests.e2e.conftest import ROOT, TIMEOUT, start_app

SLUGS = [re.sub(r"^\d+_", "", path.stem) for path in sorted((ROOT / "pages").glob("*.py"))]


def ready(page):
    """Wait until the script has run and no job is on its way."""
    page.wait_for_selector("h1")
    page.wait_for_selector('[data-testid="stStatusWidget"]', state="detached")


def test_home_shows_samples_and_leads_to_pages(page, app):
    page.goto(app)
    ready(page)
    page.get_by_text(re.compile("Computed when you opened this page")).wait_for()
    page.locator('[data-testid="stImage"] img').nth(2).wait_for()
    link = page.locator('[data-testid="stMain"] [data-testid="stPageLink"] a').first
    link.click()
    page.wait_for_function("location.pathname.length > 1")
    ready(page)
    assert page.locator("h1").inner_text() != "Generative AI Lab"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("slug", ["", *SLUGS])
def test_pages_fit_a_phone(browser, app, slug, scheme):
    context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme=scheme)
    context.set_default_timeout(TIMEOUT)
    page = context.new_page()
    page.goto(f"{app}/{slug}")
    page.wait_for_selector("h1")
    page.wait_for_timeout(1500)
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= 391, f"{slug} is {wide} px wide"
    assert page.locator('[data-testid="stException"]').count() == 0
    context.close()


def first_picture(page):
    image = page.locator('[data-testid="stMain"] [data-testid="stImage"] img').first
    page.get_by_text(re.compile(r"Computed .* ai-generated")).first.wait_for()
    image.wait_for()
    return page.evaluate(
        """async (image) => {
            const bytes = new Uint8Array(await (await fetch(image.src)).arrayBuffer());
            const hash = await crypto.subtle.digest('SHA-256', bytes);
            return Array.from(new Uint8Array(hash)).map(b => b.toString(16).padStart(2, '0')).join('');
        }""",
        image.element_handle(),
    )


def test_a_share_link_shows_the_same_picture_in_a_fresh_browser(browser, page, app):
    page.goto(f"{app}/GAN_lineage?seed=41&count=4&truncation_psi=0.5")
    ready(page)
    seen = first_picture(page)
    page.get_by_role("button", name="Share").click()
    link = page.locator('[data-testid="stPopoverBody"] code').first.inner_text()
    assert "seed=41" in link and "truncation_psi=0.5" in link
    other = browser.new_context(viewport={"width": 1440, "height": 900})
    other.set_default_timeout(TIMEOUT)
    fresh = other.new_page()
    fresh.goto(link)
    ready(fresh)
    assert first_picture(fresh) == seen
    other.close()


def test_present_hides_the_chrome_and_walks_with_the_keyboard(page, app):
    page.goto(f"{app}/GAN_lineage?present=true")
    ready(page)
    page.get_by_text(re.compile(r"1 of \d")).wait_for()
    page.locator('[data-testid="stSidebar"]').wait_for(state="hidden")  # the style comes a moment after the tour
    assert not page.locator('[data-testid="stSidebar"]').is_visible()
    for _ in range(20):  # a key that falls into a redraw is lost: press again
        page.keyboard.press("ArrowRight")
        page.wait_for_timeout(1000)
        if page.get_by_text(re.compile(r"[2-9] of \d")).count():
            break
    assert page.get_by_text(re.compile(r"[2-9] of \d")).count()


def test_nonsense_in_the_address_is_said_and_survived(page, app):
    page.goto(f"{app}/GAN_lineage?seed=minus&truncation_psi=nan&model=%3Cscript%3E&nothing=1")
    ready(page)
    for name in ("seed", "truncation_psi", "nothing"):
        page.get_by_text(re.compile(name)).first.wait_for()
    first_picture(page)
    assert page.locator('[data-testid="stException"]').count() == 0


def test_killed_in_mid_generation_it_starts_again(browser):
    process, url = start_app()
    context = browser.new_context()
    context.set_default_timeout(TIMEOUT)
    page = context.new_page()
    page.goto(f"{url}/GAN_lineage?count=64")
    page.wait_for_selector("h1")
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    again, url = start_app()
    try:
        page.goto(f"{url}/GAN_lineage")
        ready(page)
        first_picture(page)
        assert not [path for path in (ROOT / "assets").rglob(".*") if path.is_file()]  # no half-written file
    finally:
        context.close()
        again.terminate()
        again.wait(30)
