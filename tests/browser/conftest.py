"""A real Chromium for the explorers that live in the browser. Without one these tests are skipped, with one line."""

from pathlib import Path

import lab
import pytest


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("browser")
            item.add_marker(pytest.mark.extra("browser"))


@pytest.fixture(scope="session")
def browser():
    from playwright import sync_api as playwright

    if lab.chromium() is None:
        pytest.skip("needs Chromium on the PATH")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=lab.chromium(), args=lab.FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser):
    """A page that fails the test if anything on it raises or asks the network for anything."""
    context = browser.new_context(viewport={"width": 1000, "height": 700})
    page, faults = context.new_page(), []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    page.on("request", lambda request: faults.append(request.url) if request.url.startswith("http") else None)
    yield page
    context.close()
    assert not faults, faults


@pytest.fixture
def load(page):
    """``load(name, data)``: the module of that explorer as ``module`` in an empty page, mounted as ``view``."""
    from snn_helpers.widgets.panel import module

    def start(name, data=None, dark=False):
        page.emulate_media(color_scheme="dark" if dark else "light")
        page.set_content("<body><div id='place'></div></body>")
        page.evaluate(
            """async ([code, data]) => {
                window.module = await import(URL.createObjectURL(new Blob([code], {type: "text/javascript"})));
                window.view = module.mount(document.getElementById("place"), data);
            }""",
            [module(name), data],
        )
        page.wait_for_function("document.querySelector('canvas').width > 0")
        return page

    return start
