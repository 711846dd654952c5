"""The static site: built as ``make site`` builds it, every page loaded in Chromium with no network but this machine."""

import functools
import http.server
import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import urldefrag, urljoin

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.extra("docs")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The address of the site, served from a new build."""
    built = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "-q", "-b", "html", ROOT / "docs", built]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    quiet = type("Quiet", (http.server.SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(quiet, directory=built))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield built, f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.fixture
def visit(browser, site):
    """``visit(page)``: a page of the site, opened; nothing on it may ask another host, fail, or complain."""
    _, address = site
    context = browser.new_context(viewport={"width": 1280, "height": 900}, offline=False)
    faults = []
    context.route("**/*", lambda route: route.continue_() if route.request.url.startswith(address) else route.abort())
    page = context.new_page()
    page.on("request", lambda r: faults.append(r.url) if not r.url.startswith((address, "data:", "blob:")) else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    page.on("response", lambda r: faults.append(f"{r.status} {r.url}") if r.status >= 400 else None)

    def opened(name):
        page.goto(address + name, wait_until="load")
        page.wait_for_timeout(300)
        assert not faults, (name, faults)
        return page

    yield opened
    context.close()


def test_every_page_loads_by_itself_and_every_link_leads_somewhere(site, visit):
    built, address = site
    pages = sorted(path.relative_to(built).as_posix() for path in built.rglob("*.html"))
    assert len([page for page in pages if page.startswith("notebooks/")]) == len(
        list((ROOT / "notebooks").glob("*.ipynb"))
    )
    targets, anchors = set(), {}
    for name in pages:
        page = visit(name)
        anchors[name] = set(page.evaluate("[...document.querySelectorAll('[id]')].map((e) => e.id)"))
        for link in page.evaluate("[...document.querySelectorAll('a[href]')].map((a) => a.getAttribute('href'))"):
            whole, anchor = urldefrag(urljoin(address + name, link))
            if whole.startswith(address):
                targets.add((name, whole.removeprefix(address), anchor))
        assert all(page.evaluate("[...document.images].map((i) => i.complete && i.naturalWidth > 0)")), name
    for name, target, anchor in targets:
        target = target or "index.html"
        assert (built / target).exists(), f"{name} links to {target}"
        assert not anchor or target not in anchors or anchor in anchors[target], f"{name} links to {target}#{anchor}"


def test_every_figure_of_a_notebook_has_its_sentence(site, visit):
    page = visit("notebooks/02_lif_neuron.html")
    alts = page.evaluate("[...document.querySelectorAll('.cell_output img')].map((image) => image.alt)")
    assert len(alts) > 5 and all(" " in alt and len(alt) > 30 for alt in alts), alts
    assert page.locator("mjx-container").count() > 5, "formulas are not typeset"


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_every_guess_card_works_without_a_kernel(visit, path):
    page = visit(f"notebooks/{path.stem}.html")
    cards = page.locator("[data-guess] .snn-guess:has(button)")
    count = cards.count()
    assert count >= (1 if path.stem.startswith("00") else 3)
    assert not page.locator("[data-guess] details").count(), "the folded answer is for a page without JavaScript"
    for card in cards.all():
        card.get_by_text("Show me").click()
        card.get_by_text("Guess anew").wait_for()
    page.get_by_text(f"You guessed 0 of {count} cards, and had {count} shown.").wait_for()


def test_without_javascript_a_card_is_a_question_and_a_folded_answer(browser, site):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{site[1]}notebooks/02_lif_neuron.html")
    card = page.locator("[data-guess]").first
    assert card.locator("p").first.is_visible() and not card.locator("details p").first.is_visible()
    card.locator("summary").click()
    assert len(card.locator("details").inner_text()) > len("The answer") + 5
    context.close()


def test_search_finds_a_word(site, visit):
    page = visit("search.html?q=surrogate")
    page.wait_for_selector("ul.search li a")
    assert "04_surrogate_gradients" in page.inner_html("ul.search")


@pytest.mark.parametrize(
    "where, name, says", [("index", "playground", "mean interval"), ("heatmap", "heatmap", "neurons, a spike at")]
)
def test_the_explorers_live_without_a_kernel(visit, where, name, says):
    page = visit(f"{where}.html")
    page.wait_for_selector(f"#{name} canvas")
    assert says in page.inner_text(f"#{name}")
    before = page.evaluate("document.querySelector('canvas').toDataURL()")
    page.focus(f"#{name} select")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.querySelector('canvas').toDataURL()") != before
