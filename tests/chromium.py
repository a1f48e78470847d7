"""A page in headless Chromium, driven through the DevTools protocol; tornado, which bokeh brings, speaks to it.

Where there is no Chromium, `CHROMIUM` is None.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import shutil
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from tornado.websocket import WebSocketClientConnection, websocket_connect

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)
OPTIONS = "--headless=new --no-sandbox --disable-gpu --no-first-run --disable-extensions --remote-debugging-port=0"


class Page:
    """One tab.

    Attributes:
        problems: console errors and uncaught exceptions so far.
        requests: addresses that were asked for so far.
    """

    def __init__(self, socket: WebSocketClientConnection) -> None:
        self.socket = socket
        self.number = 0
        self.events: list[str] = []
        self.problems: list[str] = []
        self.requests: list[str] = []

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """The answer to a command; events that come before it are kept."""
        self.number += 1
        await self.socket.write_message(json.dumps({"id": self.number, "method": method, "params": params}))
        while True:
            message = await self._next()
            if message.get("id") == self.number:
                assert "error" not in message, message["error"]
                return message["result"]

    async def _next(self) -> dict[str, Any]:
        message = json.loads(await asyncio.wait_for(self.socket.read_message(), 120))
        params = message.get("params", {})
        if "method" in message:
            self.events.append(message["method"])
        if message.get("method") == "Runtime.exceptionThrown":
            self.problems.append(json.dumps(params["exceptionDetails"])[:2000])
        if message.get("method") == "Runtime.consoleAPICalled" and params["type"] in {"error", "assert"}:
            self.problems.append(" ".join(str(one.get("value", one.get("description"))) for one in params["args"]))
        if message.get("method") == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.problems.append(params["entry"]["text"])
        if message.get("method") == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        return message

    async def open(self, path: Path, width: int, height: int, *, phone: bool = False) -> float:
        """Open a report and wait until its first suite is drawn; the seconds that took."""
        for domain in ("Page", "Runtime", "Log", "Network"):
            await self.call(f"{domain}.enable")
        size = {"width": width, "height": height, "deviceScaleFactor": 2 if phone else 1, "mobile": phone}
        await self.call("Emulation.setDeviceMetricsOverride", **size)
        if phone:
            await self.call("Emulation.setTouchEmulationEnabled", enabled=True)
        start = time.perf_counter()
        await self.call("Page.navigate", url=path.resolve().as_uri())
        while "Page.loadEventFired" not in self.events:
            await self._next()
        await self.run("report.ready")
        return time.perf_counter() - start

    async def run(self, script: str) -> Any:
        """Value of a JavaScript expression, waited for."""
        told = await self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    async def choose(self, selector: str, value: str) -> None:
        """Choose an option of a select element."""
        find = f"(() => {{ const one = document.querySelector({json.dumps(selector)}); one.value = {json.dumps(value)};"
        await self.run(f"{find} one.dispatchEvent(new Event('change')); }})()")

    async def drag(self, x: float, y: float, up: float) -> None:
        """A finger that touches at x, y and moves up."""
        await self.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
        for share in range(1, 11):
            point = {"x": x, "y": y - up * share / 10}
            await self.call("Input.dispatchTouchEvent", type="touchMove", touchPoints=[point])
            await asyncio.sleep(0.02)
        await self.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    async def settle(self) -> None:
        """Until everything is drawn."""
        await self.run(
            "new Promise((next) => setTimeout(() => requestAnimationFrame(() => setTimeout(next, 50)), 300))"
        )

    async def picture(self, path: Path, *, whole: bool = False) -> None:
        """A screenshot as PNG; of the whole page or of what is in view."""
        await self.settle()
        told = await self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(told["data"]))


@contextlib.asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Page]:
    """A tab of a Chromium of its own, whose profile lies in `folder`; it ends with the block."""
    assert CHROMIUM is not None
    command = [CHROMIUM, *OPTIONS.split(), f"--user-data-dir={folder}", "about:blank"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        port = await _port(folder / "DevToolsActivePort")
        socket = await websocket_connect(await _address(port), max_message_size=2**28)
        try:
            page = Page(socket)
            yield page
            with contextlib.suppress(Exception):
                await page.call("Browser.close")
        finally:
            socket.close()
    finally:
        process.terminate()
        process.wait(30)


async def _port(file: Path) -> int:
    for _ in range(300):
        if file.exists() and file.read_text().strip():
            return int(file.read_text().split()[0])
        await asyncio.sleep(0.1)
    raise TimeoutError("Chromium did not open its port for DevTools within 30 s.")


async def _address(port: int) -> str:
    """Of the first tab."""
    from tornado.httpclient import AsyncHTTPClient

    for _ in range(100):
        answer = await AsyncHTTPClient().fetch(f"http://127.0.0.1:{port}/json/list")
        tabs = [tab for tab in json.loads(answer.body) if tab["type"] == "page"]
        if tabs:
            return str(tabs[0]["webSocketDebuggerUrl"])
        await asyncio.sleep(0.1)
    raise TimeoutError("Chromium has no tab.")
