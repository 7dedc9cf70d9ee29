"""The report in a real browser: no errors, no requests, every picture decodes, nothing sticks out."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions"),
    *("--disable-dev-shm-usage", "--remote-debugging-pipe"),
)
PATIENCE = 90  # seconds; a busy machine starts a browser slowly

# The browser reads what to do from its file 3, and answers on its file 4.
START = """
import fcntl, os, sys
files = [fcntl.fcntl(int(number), fcntl.F_DUPFD, 10) for number in sys.argv[1:3]]
for place, file in enumerate(files, start=3):
    os.dup2(file, place)
os.execv(sys.argv[3], sys.argv[3:])
"""

LOOK = """(async () => {
  const root = document.documentElement, broken = [];
  for (const picture of document.querySelectorAll('img, svg image')) {
    try { await picture.decode(); } catch (error) { broken.push(String(error)); }
  }
  for (const source of document.querySelectorAll('source')) {
    const dark = new Image(); dark.src = source.srcset;
    try { await dark.decode(); } catch (error) { broken.push(String(error)); }
  }
  const overflow = root.scrollWidth - root.clientWidth;
  document.querySelectorAll('details').forEach(each => each.open = true);
  const outside = [...document.querySelectorAll('body *')].filter(each => !each.closest('.scroll, svg, .skip') &&
    each.getBoundingClientRect().right > root.clientWidth + 1).map(each => each.outerHTML.slice(0, 80));
  return {title: document.title, sections: document.querySelectorAll('section').length, broken, outside,
    charts: document.querySelectorAll('svg').length, overflow, overflow_open: root.scrollWidth - root.clientWidth,
    paper: getComputedStyle(document.body).backgroundColor,
    ink: getComputedStyle(document.querySelector('svg text') || document.body).fill};
})()"""


class Browser:
    """A headless browser that is told what to do over two pipes (the DevTools protocol).

    Args:
        folder: for its profile.
    """

    def __init__(self, folder: Path) -> None:
        assert CHROMIUM is not None
        (read, self._commands), (self._answers, write) = os.pipe(), os.pipe()
        start = [sys.executable, "-c", START, str(read), str(write)]
        command = [*start, CHROMIUM, *FLAGS, f"--user-data-dir={folder / 'profile'}", "about:blank"]
        self._process = subprocess.Popen(
            command,
            pass_fds=(read, write),
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(read)
        os.close(write)
        self._number, self._rest, self._session = 0, b"", None
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Sends a command and waits for its answer; events that come before it are kept."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self._number:
            self.events.append(answer)
        assert "error" not in answer, answer
        return answer["result"]

    def _next(self) -> dict[str, Any]:
        end = time.monotonic() + PATIENCE
        while b"\0" not in self._rest:
            assert select.select([self._answers], [], [], max(0.0, end - time.monotonic()))[0], "the browser is silent"
            part = os.read(self._answers, 1 << 16)
            assert part, "the browser ended"
            self._rest += part
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)

    def look(self, address: str, width: int, scheme: str) -> SimpleNamespace:
        """Loads a page and looks into it: what `LOOK` gives, the console's errors, and the addresses requested."""
        self.events = []
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.call("Page.navigate", url=address)
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._next())
        found = self.call("Runtime.evaluate", expression=LOOK, awaitPromise=True, returnByValue=True)["result"]["value"]
        asked = [e["params"]["request"]["url"] for e in self.events if e.get("method") == "Network.requestWillBeSent"]
        told = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")
        console = [event["params"] for event in self.events if event.get("method") in told]
        requests = [url for url in asked if not url.startswith("data:") and url != address]
        return SimpleNamespace(**found, requests=requests, console=console)

    def close(self) -> None:
        """Ends the browser with all its processes."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        os.close(self._commands)
        os.close(self._answers)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("there is no Chromium on this machine")
    opened = Browser(tmp_path_factory.mktemp("browser"))
    yield opened
    opened.close()


def rgb(colour: str) -> list[int]:
    return [int(part) for part in colour.removeprefix("rgb(").removesuffix(")").split(",")]


def luminance(colour: str) -> float:
    """Relative luminance, Web Content Accessibility Guidelines 2.2."""
    shares = [part / 255 for part in rgb(colour)]
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("kind", ["sex", "folds"])
@pytest.mark.parametrize(("width", "scheme"), [(400, "dark"), (1200, "light")])
def test_a_browser_shows_the_report(
    browser: Browser, reports: Callable[[str], SimpleNamespace], kind: str, width: int, scheme: str
) -> None:
    report = reports(kind)
    found = browser.look(report.path.as_uri(), width, scheme)
    assert found.console == []
    assert found.requests == []
    assert found.broken == []
    assert found.title.startswith("Prediction of")
    tags = [tag for tag, _ in report.page.elements]
    assert found.sections == tags.count("section")
    assert found.charts == tags.count("svg") > 3
    assert found.overflow <= 0, found.outside
    assert found.overflow_open <= 0, found.outside
    assert found.outside == []
    # texts of charts are as readable as AAA asks of texts, in both schemes
    darker, lighter = sorted([luminance(found.paper), luminance(found.ink)])
    assert (lighter + 0.05) / (darker + 0.05) > 7
    assert (luminance(found.paper) > 0.5) == (scheme == "light")


def test_what_is_wrong_with_a_page_is_seen(browser: Browser, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_text(
        '<title>bad</title><body><div style="width: 2000px">wide</div><img src="data:image/png;base64,AAAA">'
        '<img src="missing.png"><script>undefined.value</script>'
    )
    found = browser.look(page.as_uri(), 400, "light")
    assert "TypeError" in str(found.console)
    assert [url.rpartition("/")[2] for url in found.requests] == ["missing.png"]
    assert len(found.broken) == 2
    assert found.overflow > 0
    assert len(found.outside) == 1
