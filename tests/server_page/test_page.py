"""A person at the page: taps, drags, keys, a phone, a board that goes away."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgesam_rt.drawing.palette import colour
from edgesam_rt.imaging import rle
from tests.server_page.browser import Browser
from tests.server_page.workplace import BESIDE_IT, HER_BOX, ON_IT, Board, Page

TOKEN = "correct-horse-battery-staple"
ENTER, LEFT, UP, ESCAPE, DELETE = "\ue007", "\ue012", "\ue013", "\ue00c", "\ue017"


@pytest.fixture
def page(browser: Browser, board: Board) -> Page:
    opened = Page(browser, board)
    opened.open()
    return opened


def test_a_click_on_an_object_brings_its_mask(page: Page) -> None:
    before = page.browser.screenshot()
    page.tap(ON_IT)
    (found,) = page.wait_for_objects(1)
    assert np.abs(np.array(found["points"][0][:2]) - ON_IT).max() < 1.5
    place = page.depth_of_mask()
    tinted = 0.55 * page.colour_at(place, before) + 0.45 * np.array(colour(found["id"]))
    page.browser.wait_for(
        lambda: np.abs(page.colour_at(place) - tinted).max() < 20, "the mask's colour on the object"
    )
    wall = page.colour_at(BESIDE_IT, before)
    assert np.abs(page.colour_at(BESIDE_IT) - wall).max() < 6, "the wall stays as it was"


def test_a_shift_click_says_what_is_not_part_of_it(page: Page) -> None:
    page.tap(ON_IT)
    (before,) = page.wait_for_objects(1)
    page.tap((420, 80), shift=True)
    page.browser.wait_for(lambda: len(page.board.objects()[0]["points"]) == 2, "the second point")
    (after,) = page.wait_for_objects(1)
    assert after["id"] == before["id"]
    assert [label for _, _, label in after["points"]] == [1, 0]
    assert np.abs(np.array(after["points"][1][:2]) - (420, 80)).max() < 1.5

    def is_red() -> bool:
        red = page.colour_at((416, 80))
        return bool(red[0] > red[1] + 60)

    page.browser.wait_for(is_red, "a red mark on the point that is not part of it")


def test_a_shift_click_without_an_object_is_explained(page: Page) -> None:
    page.tap(ON_IT, shift=True)
    page.browser.wait("!document.getElementById('toast').hidden")
    assert "Name an object first" in page.browser.text("#toast")
    assert page.board.objects() == []


def test_a_drag_is_a_box(page: Page) -> None:
    page.drag(HER_BOX)
    (found,) = page.wait_for_objects(1)
    assert np.abs(np.array(found["box"]) - HER_BOX).max() < 2
    assert found["area"] > 8000
    page.drag((100, 400, 60, 300))
    _, turned = page.wait_for_objects(2)
    assert np.abs(np.array(turned["box"]) - (60, 300, 100, 400)).max() < 2


def test_a_drag_that_leaves_the_picture_ends_at_its_edge(page: Page) -> None:
    page.drag((500, 300, 700, 500))
    (found,) = page.wait_for_objects(1)
    assert np.abs(np.array(found["box"]) - (500, 300, 640, 480)).max() < 2


def test_an_object_is_removed_by_its_button(page: Page) -> None:
    page.tap(ON_IT)
    page.wait_for_objects(1)
    page.tap(BESIDE_IT)
    first, second = page.wait_for_objects(2)
    page.browser.click(f"#objects li[data-id='{first['id']}'] .remove")
    assert [each["id"] for each in page.wait_for_objects(1)] == [second["id"]]


def test_the_mode_is_switched_and_shown(page: Page) -> None:
    page.tap(ON_IT)
    page.wait_for_objects(1)
    page.browser.click("#modes input[value=track]")
    page.browser.wait_for(lambda: page.board.ask("GET", "mode")["mode"] == "track", "track")
    page.browser.wait("document.querySelector('#modes input[value=track]').checked")
    page.browser.click("#modes input[value=everything]")
    page.browser.wait("/^[1-9][0-9]* masks$/.test(document.getElementById('count').textContent)")
    page.tap(BESIDE_IT)
    page.browser.wait("!document.getElementById('toast').hidden", what="the board's refusal")
    page.board.ask("PUT", "mode", {"mode": "prompt"})
    page.browser.wait(
        "document.querySelector('#modes input[value=prompt]').checked", what="another's change"
    )


def test_keys_do_what_the_mouse_does(page: Page) -> None:
    page.browser.run("document.getElementById('view').focus()")
    page.browser.keys(*[LEFT] * 3, UP, ENTER)
    (found,) = page.wait_for_objects(1)
    assert np.abs(np.array(found["points"][0][:2]) - (320 - 3 * 12.8, 240 - 12.8)).max() < 1
    page.browser.keys("b", *[LEFT] * 5, *[UP] * 6, ENTER)
    _, boxed = page.wait_for_objects(2)
    x0, y0, x1, y1 = boxed["box"]
    assert np.abs(np.array([x1 - x0, y1 - y0]) - (5 * 12.8, 6 * 12.8)).max() < 1
    page.browser.keys("b", LEFT, ESCAPE, DELETE)
    assert [each["id"] for each in page.wait_for_objects(1)] == [found["id"]]


@pytest.mark.parametrize(
    ("wide", "high", "ratio"),
    [(1280, 800, 1.0), (1600, 500, 1.5), (700, 900, 2.0), (390, 844, 3.0)],
)
def test_places_are_right_at_every_size_and_sharpness(
    browser: Browser, board: Board, wide: int, high: int, ratio: float
) -> None:
    page = Page(browser, board)
    page.open(wide=wide, high=high, ratio=ratio)
    backing = browser.run(
        "const c = document.getElementById('view'); return [c.width, c.clientWidth]"
    )
    assert backing[0] == round(backing[1] * ratio), "as sharp as the screen"
    for i, place in enumerate([(5.0, 5.0), (634.0, 474.0), (320.0, 100.0)], 1):
        page.tap(place)
        found = page.wait_for_objects(i)[-1]
        assert np.abs(np.array(found["points"][0][:2]) - place).max() < 2


def test_a_press_beside_the_picture_does_nothing(browser: Browser, board: Board) -> None:
    page = Page(browser, board)
    page.open(wide=1600, high=500)
    page.tap((-20, 200))
    page.tap(ON_IT)
    assert len(page.wait_for_objects(1)) == 1


def test_a_phone_needs_no_mouse(browser: Browser, board: Board) -> None:
    page = Page(browser, board)
    page.open(wide=390, high=844, ratio=2, mobile=True)
    assert browser.run("return document.documentElement.scrollWidth") <= 390
    small = browser.run(
        "return [...document.querySelectorAll('button, fieldset label')]"
        ".filter(e => e.offsetParent && e.offsetHeight < 40).map(e => e.textContent)"
    )
    assert small == [], "large enough for a finger"
    page.tap(ON_IT, kind="touch")
    page.wait_for_objects(1)
    browser.click("#tools input[value=not]")
    page.tap((420, 80), kind="touch")
    browser.wait_for(lambda: len(board.objects()[0]["points"]) == 2, "the point not on it")
    browser.click("#tools input[value=new]")
    page.drag(HER_BOX, kind="touch")
    page.wait_for_objects(2)


def test_what_is_shown_are_the_boards_figures(page: Page) -> None:
    page.browser.wait("document.querySelectorAll('#stages tr').length >= 4")
    status = page.board.ask("GET", "status")
    assert page.browser.text("#connection") == "connected"
    assert page.browser.text("#camera") == "camera live"
    assert page.browser.text("#board") == status["build"]["board"]
    names = page.browser.run(
        "return [...document.querySelectorAll('#stages th')].map(e => e.textContent)"
    )
    assert {"encode", "decode", "capture to result"} <= set(names)
    label = page.browser.run("return document.getElementById('latency').getAttribute('aria-label')")
    assert "milliseconds" in label


def test_the_page_keeps_its_own_rules(page: Page) -> None:
    page.browser.log()
    page.open()
    page.tap(ON_IT)
    page.wait_for_objects(1)
    complaints = [entry for entry in page.browser.log() if not entry.startswith("DEBUG")]
    assert complaints == [], "no violated policy, no missing file, no error"


def test_colours_and_masks_are_those_of_the_board(page: Page) -> None:
    ids = list(range(1, 80))
    found = page.browser.run(
        "return import('/page/colours.js').then(m => arguments[0].map(m.colour))", ids
    )
    assert [tuple(each) for each in found] == [colour(i) for i in ids]
    rng = np.random.default_rng(0)
    for shape in ((7, 5), (40, 60), (1, 9), (300, 200)):
        mask = rng.random(shape) < 0.4
        runs = rle.run_lengths(mask)
        text = rle.compress(runs)
        back = page.browser.run(
            "return import('/page/masks.js').then(m => m.runs(arguments[0]))", text
        )
        assert back == runs.tolist()


def test_a_board_that_goes_away_is_said_and_found_again(browser: Browser, clip: Path) -> None:
    with Board(f"file:{clip}?live=1&loop=1").started() as board:
        page = Page(browser, board)
        page.open()
        board.stop()
        browser.wait("document.getElementById('connection').dataset.state === 'bad'")
        assert "No connection" in browser.text("#message")
        assert browser.run("return document.getElementById('frame').classList.contains('stale')")
        board.start()
        browser.run("delete document.body.dataset.frame")
        page.wait_for_picture()
        browser.wait("document.getElementById('connection').dataset.state === 'good'")
        assert browser.text("#message") == ""
        page.tap(ON_IT)
        page.wait_for_objects(1)


def test_a_camera_that_falls_silent_is_said(browser: Browser) -> None:
    source = "synthetic:?live=1&size=640x480&fps=5&silent_after=12"
    with Board(source).started() as board:
        page = Page(browser, board)
        page.open()
        browser.wait(
            "/this picture is [0-9]+ s old/.test(document.getElementById('message').textContent)"
        )
        assert browser.text("#connection") == "connected"
        assert browser.run("return document.getElementById('frame').classList.contains('stale')")


def test_a_token_is_asked_for(browser: Browser, clip: Path, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN)
    words = ("--http-token-file", str(file))
    with Board(f"file:{clip}?live=1&loop=1", words, TOKEN).started() as board:
        browser.resize(1280, 800)
        browser.open(board.url)
        browser.wait("document.getElementById('login').open")
        assert not browser.run("return document.body.dataset.frame || ''")
        browser.type("#token", "something-else-altogether")
        browser.click("#login button")
        browser.wait("document.getElementById('login-problem').textContent")
        browser.run("document.getElementById('token').value = ''")
        browser.type("#token", TOKEN)
        browser.click("#login button")
        page = Page(browser, board)
        page.wait_for_picture()
        page.tap(ON_IT)
        page.wait_for_objects(1)
