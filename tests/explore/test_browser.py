"""The page in a real browser, without a window: drop an image, see its like, click on a place."""

import threading

import pytest

from tests.browser import TEXTS, needs_browser
from tests.explore.conftest import HEAD, NAMES, PASTED, png

pytestmark = needs_browser
PHONE, DESKTOP = {"width": 390, "height": 844}, {"width": 1280, "height": 900}
READY = "body:not(.busy) #matches li:nth-child(6)"


@pytest.fixture(scope="module")
def address(app):
    from waitress.server import create_server

    server = create_server(app, host="127.0.0.1", port=0)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.effective_port}/"
    server.asyncore.socket_map.clear()
    server.asyncore.close_all(server._map)
    thread.join(10)


@pytest.fixture
def opened(browser, address):
    """Opens the page in a window; nothing may be asked of elsewhere, nor a script be stopped."""
    pages, complaints, requests = [], [], []

    def open_page(viewport=DESKTOP, **options):
        page = browser.new_page(viewport=viewport, **options)
        pages.append(page)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append("a dialog"))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(address)
        page.wait_for_selector("#collection li:nth-child(24)")
        return page

    yield open_page
    for page in pages:
        page.close()
    assert all(url.startswith(address) for url in requests)
    assert [each for each in complaints if "status of 422" not in each] == []


def names(page):
    return page.eval_on_selector_all("#matches img", "all => all.map((each) => each.alt)")


def upload(page, image, name="query.png"):
    page.set_input_files("#file", {"name": name, "mimeType": "image/png", "buffer": image})


def test_upload_click_and_back(opened, birds):
    page = opened()
    upload(page, png(birds[0]))
    page.wait_for_selector(READY)
    whole = names(page)
    assert whole[0] == NAMES[0]
    assert page.locator("#matches canvas").count() == 6
    assert page.locator(".mark:visible").count() == 0
    box = page.locator("#stage").bounding_box()
    x, y = HEAD
    page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])
    page.wait_for_selector(f"{READY} .mark")
    assert page.locator("#matches .mark").count() == 6
    by_place = names(page)
    assert by_place != whole
    assert by_place[:2] == [NAMES[0], PASTED]
    mark = page.locator("#matches li:nth-child(2) .mark").bounding_box()
    tile = page.locator("#matches li:nth-child(2) .boxed").bounding_box()
    across = (mark["x"] + mark["width"] / 2 - tile["x"]) / tile["width"]
    down = (mark["y"] + mark["height"] / 2 - tile["y"]) / tile["height"]
    assert (across, down) == pytest.approx((x - 2 / 5, y), abs=0.02)
    assert page.locator("#status").inner_text() == "6 images found by this place."
    page.click("#whole")
    page.wait_for_selector(f"{READY}:not(:has(.mark))")
    assert names(page) == whole
    assert page.locator(".mark:visible").count() == 0
    page.fill("#strength", "0")
    style = "getComputedStyle(document.querySelector('#stage canvas')).opacity"
    assert page.evaluate(style) == "0"


def test_by_keyboard_and_what_is_refused(opened):
    page = opened()
    page.locator("#collection button").first.press("Enter")
    page.wait_for_selector(READY)
    assert page.evaluate("document.activeElement.id") == "stage"
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    status = page.locator("#status")
    middle, moved = status.inner_text(), None
    assert middle.startswith("Place ")
    page.keyboard.press("ArrowUp")
    moved = status.inner_text()
    assert moved != middle
    page.keyboard.press("Enter")
    page.wait_for_selector(f"{READY} .mark")
    page.keyboard.press("Escape")
    page.wait_for_selector("#matches li:nth-child(6):not(:has(.mark))")
    page.click("#again")
    assert page.evaluate("document.activeElement.id") == "file"
    upload(page, b"no image at all")
    page.wait_for_selector("#status.wrong")
    assert "Give an image in JPEG" in status.inner_text()
    upload(page, bytes(1_000_001))
    page.wait_for_selector("text=larger than 1 MB")


def test_on_a_phone(opened, birds):
    page = opened(PHONE, color_scheme="light")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    upload(page, png(birds[2]))
    page.wait_for_selector(READY)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    first = page.locator("#matches li").first.bounding_box()
    assert first["y"] < PHONE["height"], "what was found begins on the first screen"
    grounds = set()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        grounds.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        texts = [text for text in page.evaluate(TEXTS) if text[0] != "Whole image"]  # disabled
        assert len(texts) > 10
        assert [text for text in texts if text[1] < 12 or text[2] < 4.5] == []
    assert len(grounds) == 2
