"""Uses a depot's pages in headless Chromium: axe-core on each, a download by keyboard alone, and no script.

usage: depot_pages.py ADDRESS DIRECTORY PICTURES, the USER:PASSWORD of a customer and of a member of staff on stdin
"""

import base64
import json
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

from page import ELEMENT, Browser, expect, started_port, wait_for

IMAGE = "docker_backend-v43.4.4.tar"
CUSTOMER_PAGES = {
    "products": "/",
    "product": "/backend/",
    "release": "/backend/v43.4.4/",
    "latest": "/backend/latest/",
    "release-beta": "/backend/v43.5.0-beta1/",
    "withdrawn": "/backend/v43.4.2/",
    "empty": "/reports/",
    "missing": "/backend/v1/",
}
STAFF_PAGES = {
    "overview": "/staff/",
    "releases": "/staff/releases/",
    "customers": "/staff/customers/",
    "downloads": "/staff/downloads/",
    "year": "/staff/downloads/?days=365",
}
LOOKS = {"light": ("light", 1100), "dark": ("dark", 1100), "phone": ("light", 320), "phone-dark": ("dark", 320)}
TAB, ENTER = "\ue004", "\ue007"
NO_SCRIPT = {"profile.managed_default_content_settings.javascript": 2}


def remember_downloads(directory):
    """Puts a year of downloads into the records, as if customers had been there."""
    now = int(time.time())
    rows = []
    for day in range(1, 360):
        for number in range((day * 7919) % 5 if day % 7 > 1 else 0):
            release = ("v43.4.3", "v43.4.4")[(day + number) % 2]
            at = now - day * 86400 - number * 600
            rows.append((at, "acme", "192.0.2.7", "download", "backend", release, f"docker_backend-{release}.tar", 200, 3_000_000, 1))
    with sqlite3.connect(Path(directory) / "data/depot.db", timeout=20) as records:
        records.executemany(
            "INSERT INTO audit (at, actor, address, action, product, release, file, status, bytes, complete)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            rows,
        )
    records.close()


class Reader(Browser):
    """A browser that logs in by the address, and is told by the DevTools protocol what a page cannot say itself."""

    def tell(self, command, **parameters):
        return self.ask("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def evaluate(self, expression):
        result = self.tell("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in result:
            raise SystemExit(f"error: {result['exceptionDetails']}")
        return result["result"].get("value")

    def log_in(self, address, login, path):
        parts = urlsplit(address)
        self.open(f"{parts.scheme}://{login}@{parts.netloc}{path}")
        # The name and the password are gone from the address, as after a log-in that the browser asked for.
        self.open(address + path)

    def look(self, scheme, width):
        self.tell("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.tell("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 500)

    def picture(self, file):
        shot = self.tell("Page.captureScreenshot", captureBeyondViewport=True, format="png")
        Path(file).write_bytes(base64.b64decode(shot["data"]))

    def press(self, key):
        actions = [{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]
        self.ask("POST", "/actions", {"actions": [{"type": "key", "id": "keys", "actions": actions}]})

    def focused(self):
        """Returns where the link that has the focus leads to."""
        element = self.ask("GET", "/element/active")[ELEMENT]
        return self.ask("GET", f"/element/{element}/attribute/href") or ""


def judge(browser, axe, name):
    """Has axe-core judge the page as it is, with all of its rules."""
    browser.evaluate(axe + "; true")
    found = json.loads(browser.evaluate("axe.run(document).then(found => JSON.stringify(found))"))
    wrong = [f"{one['id']}: {node['html'][:160]}" for one in found["violations"] for node in one["nodes"]]
    expect(f"{name}: {len(found['passes'])} rules of axe-core hold {wrong or ''}".rstrip(), len(found["passes"]) > 12 and not wrong)
    unsure = [f"{one['id']}: {node['html'][:120]}" for one in found["incomplete"] for node in one["nodes"]]
    expect(f"{name}: axe-core is sure {unsure or ''}".rstrip(), not unsure)


def every_page(browser, address, pages, axe, pictures):
    for name, path in pages.items():
        for look, (scheme, width) in LOOKS.items():
            browser.look(scheme, width)
            browser.open(address + path)
            judge(browser, axe, f"{name}, {look}")
            wide = browser.evaluate("document.documentElement.scrollWidth")
            expect(f"{name}, {look}: nothing is wider than {width} px, but {wide}", wide <= width)
            if look in ("light", "dark", "phone"):
                browser.picture(f"{pictures}/{name}-{look}.png")


def is_quiet(browser, address):
    """Checks that every request went to the depot, and that its own policy blocked nothing."""
    events = [json.loads(entry["message"])["message"] for entry in browser.log("performance")]
    asked = {one["params"]["request"]["url"] for one in events if one["method"] == "Network.requestWillBeSent"}
    asked = {url for url in asked if urlsplit(url).scheme not in ("data", "chrome", "chrome-untrusted")}
    # An address with a log-in in it is the depot's, too.
    foreign = sorted(url for url in asked if urlsplit(url).netloc.rpartition("@")[2] != urlsplit(address).netloc)
    expect(f"all {len(asked)} addresses asked for are the depot's own {foreign or ''}".rstrip(), asked and not foreign)
    blocked = [one["message"] for one in browser.log("browser") if "Content Security Policy" in one["message"]]
    # The one script there is, in the documentation, is shut in.
    blocked = [message for message in blocked if "/docs/" not in message]
    expect(f"no page wants what its policy forbids {blocked or ''}".rstrip(), not blocked)


def documentation_is_shut_in(browser, address):
    browser.open(address + "/backend/latest/docs/")
    expect("the documentation is shown, and its script does not run", browser.text(browser.one("#told")) == "Read.")


def tab_to(browser, path):
    """Presses Tab until the link that leads there has the focus."""
    for presses in range(1, 60):
        browser.press(TAB)
        if urlsplit(browser.focused()).path == path or browser.focused() == path:
            return presses
    raise SystemExit(f"error: Tab does not reach the link to {path}")


def follow(browser, path):
    presses = tab_to(browser, path)
    browser.press(ENTER)
    print(f"ok: {presses} times Tab, and Enter, lead to {path}", flush=True)


def by_keyboard(browser, address, login, directory):
    """Goes from the first page to a file with Tab and Enter alone, in a browser that runs no script."""
    browser.open("data:text/html,<title>still</title><script>document.title='ran'</script>")
    expect("this browser runs no script", browser.ask("GET", "/title") == "still")
    browser.look("light", 1100)
    browser.log_in(address, login, "/")
    browser.press(TAB)
    expect("the first Tab goes to the link that skips to the content", browser.focused().endswith("#content"))
    browser.press(ENTER)
    for path in ("/backend/", "/backend/v43.4.4/"):
        follow(browser, path)
        wait_for(f"the page {path}", lambda path=path: browser.path() == path)
    follow(browser, f"/backend/{IMAGE}")
    file = Path(directory) / "got" / IMAGE
    wait_for("the file", file.exists)
    expect("the file is the image, byte for byte", file.read_bytes() == (Path(directory) / IMAGE).read_bytes())


def session(port, work, preferences, use):
    """Runs a browser of its own and ends it, whatever happens."""
    with tempfile.TemporaryDirectory(dir=work) as profile:
        browser = Reader(port, profile, preferences)
        try:
            use(browser)
        finally:
            browser.ask("DELETE", "")


def main():
    address, directory, pictures = sys.argv[1:]
    customer, staff = (line.strip() for line in sys.stdin)
    axe = (Path(directory) / "axe.js").read_text()
    remember_downloads(directory)
    downloads = {"download.default_directory": f"{directory}/got", "download.prompt_for_download": False}

    def as_customer(browser):
        browser.log_in(address, customer, "/")
        every_page(browser, address, CUSTOMER_PAGES, axe, pictures)
        documentation_is_shut_in(browser, address)
        is_quiet(browser, address)

    def as_staff(browser):
        browser.log_in(address, staff, "/staff/")
        every_page(browser, address, STAFF_PAGES, axe, pictures)
        bars = [browser.size(bar) for bar in browser.find("svg.bars rect")]
        expect(f"the plot's {len(bars)} bars are drawn", len(bars) > 20 and all(bar["height"] > 1 for bar in bars))
        is_quiet(browser, address)

    driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, text=True)
    try:
        port = started_port(driver)
        session(port, directory, {}, as_customer)
        session(port, directory, {}, as_staff)
        session(port, directory, {**NO_SCRIPT, **downloads}, lambda browser: by_keyboard(browser, address, customer, directory))
    finally:
        driver.terminate()
        driver.wait()


main()
