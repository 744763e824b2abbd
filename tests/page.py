"""Uses the example backend's pages in headless Chromium, through chromedriver and nothing beyond Python's own library.

usage: page.py ADDRESS DATA_SET TOTAL_CENTS PICTURE, the first password of the administrator on stdin
"""

import base64
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
CHROMIUM_ARGUMENTS = [
    "--headless",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=900,1400",
]


class Browser:
    """One session of Chromium, as the WebDriver protocol has it."""

    def __init__(self, port, profile, preferences=None):
        self.base = f"http://127.0.0.1:{port}"
        arguments = [*CHROMIUM_ARGUMENTS, f"--user-data-dir={profile}"]
        if os.geteuid() == 0:
            # Chromium refuses its own sandbox to root.
            arguments.append("--no-sandbox")
        wanted = {
            "browserName": "chrome",
            "goog:chromeOptions": {"args": arguments, "prefs": preferences or {}},
            "goog:loggingPrefs": {"performance": "ALL", "browser": "ALL"},
        }
        opened = self.ask("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self.base += f"/session/{opened['sessionId']}"

    def ask(self, method, path, document=None):
        """Sends one command and returns its value."""
        body = None if document is None else json.dumps(document).encode()
        request = urllib.request.Request(self.base + path, body, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise SystemExit(f"error: the browser cannot {method} {path}: {error.read().decode()[:400]}") from None

    def open(self, address):
        self.ask("POST", "/url", {"url": address})

    def find(self, selector):
        """Returns the elements that a CSS selector names."""
        found = self.ask("POST", "/elements", {"using": "css selector", "value": selector})
        return [element[ELEMENT] for element in found]

    def one(self, selector):
        """Returns the only element that a CSS selector names."""
        found = self.find(selector)
        if len(found) != 1:
            raise SystemExit(f"error: the page {self.path()} has {len(found)} elements `{selector}` instead of one")
        return found[0]

    def type(self, selector, text):
        self.ask("POST", f"/element/{self.one(selector)}/value", {"text": text})

    def click(self, selector):
        self.ask("POST", f"/element/{self.one(selector)}/click", {})

    def text(self, element):
        return self.ask("GET", f"/element/{element}/text")

    def size(self, element):
        return self.ask("GET", f"/element/{element}/rect")

    def path(self):
        return urlsplit(self.ask("GET", "/url")).path

    def log(self, kind):
        return self.ask("POST", "/se/log", {"type": kind})


def expect(fact, truth):
    """Says that something holds, or ends the test."""
    if not truth:
        raise SystemExit(f"error: not so: {fact}")
    print(f"ok: {fact}", flush=True)


def wait_for(what, condition, seconds=60):
    """Asks until the condition holds and returns what it gave."""
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        if time.monotonic() > deadline:
            raise SystemExit(f"error: waited {seconds} s in vain: {what}")
        time.sleep(0.1)
    return result


def change_first_password(browser, address, first):
    """Logs in, and does what the application asks of a first log-in."""
    browser.open(address + "/")
    expect("a browser without a session is asked to log in", browser.path() == "/login")
    browser.type("input[name=password]", first)
    browser.click("form[action='/login'] button")
    wait_for("the page that asks for a new password", lambda: browser.path() == "/password")
    new = secrets.token_hex(16)
    browser.type("input[name=current]", first)
    browser.type("input[name=new]", new)
    browser.click("form[action='/password'] button")
    wait_for("the list of reports", lambda: browser.path() == "/reports")
    print("ok: logged in and changed the first password", flush=True)


def upload(browser, data_set):
    """Uploads the data set through the form and waits for the report's chart."""
    browser.type("input[name=file]", str(Path(data_set).resolve()))
    browser.click("form[action='/datasets'] button")
    wait_for("the page of the report", lambda: browser.path().endswith("/page"))
    wait_for("a chart on it", lambda: browser.find("svg.chart"))


def look_at(browser, total_cents):
    """Checks what is drawn: not the markup alone, but what has a size on the screen."""
    charts = browser.find("svg.chart")
    expect("the report has a chart for each of its groups", len(charts) == 3)
    bars = [browser.size(bar) for bar in browser.find("svg.chart rect.bar")]
    drawn = [bar for bar in bars if bar["width"] >= 1 and bar["height"] >= 5]
    expect(f"its {len(bars)} bars are drawn", len(bars) > 10 and len(drawn) == len(bars))
    expect("the bars differ in length", len({round(bar["width"]) for bar in bars}) > 5)
    shown = f"{total_cents // 100:,}.{total_cents % 100:02}"
    expect(f"the page shows the total {shown}", browser.text(browser.one("main strong")) == shown)


def nothing_from_elsewhere(browser, address):
    """Checks that every request of every page went to the backend, and that the console is quiet."""
    events = [json.loads(entry["message"])["message"] for entry in browser.log("performance")]
    asked = {
        event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"
    }
    # Before the first page the browser shows one of its own, which asks nobody.
    asked = {url for url in asked if urlsplit(url).scheme not in ("data", "chrome", "chrome-untrusted")}
    foreign = sorted(url for url in asked if not url.startswith(address + "/"))
    expect(f"all {len(asked)} addresses asked for are the backend's own {foreign or ''}".rstrip(), asked and not foreign)
    severe = [entry["message"] for entry in browser.log("browser") if entry["level"] == "SEVERE"]
    expect(f"the console has no error {severe or ''}".rstrip(), not severe)


def started_port(driver):
    """Reads on which port chromedriver listens."""
    for line in driver.stdout:
        if "started successfully on port" in line:
            return int(line.rsplit(" ", 1)[1].strip(". \n"))
    raise SystemExit("error: chromedriver ended before it listened")


def main():
    address, data_set, total, picture = sys.argv[1:]
    first = sys.stdin.readline().strip()
    with tempfile.TemporaryDirectory() as profile:
        driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, text=True)
        try:
            browser = Browser(started_port(driver), profile)
            try:
                change_first_password(browser, address, first)
                upload(browser, data_set)
                look_at(browser, int(total))
                nothing_from_elsewhere(browser, address)
            finally:
                # The picture is worth the most when something went wrong.
                Path(picture).write_bytes(base64.b64decode(browser.ask("GET", "/screenshot")))
                browser.ask("DELETE", "")
        finally:
            driver.terminate()
            driver.wait()


if __name__ == "__main__":
    main()
