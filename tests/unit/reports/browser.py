"""A headless Chromium, spoken to over two pipes by the protocol of its developer tools."""

from __future__ import annotations

import json
import os
import select
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-dev-shm-usage --remote-debugging-pipe --window-size=1280,1600"
).split()


class Browser:
    """One page; `events` holds all that it reported."""

    def __init__(self, send: int, receive: int) -> None:
        self.send, self.receive = send, receive
        self.buffer, self.number = b"", 0
        self.session: str | None = None
        self.events: list[dict[str, Any]] = []

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.send, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.read()
            if answer.get("id") == self.number:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def read(self) -> dict[str, Any]:
        end = time.monotonic() + 60
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.receive], [], [], max(0.0, end - time.monotonic()))
            assert ready, "the browser does not answer"
            piece = os.read(self.receive, 1 << 20)
            assert piece, "the browser has ended"
            self.buffer += piece
        line, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(line)

    def wait(self, method: str) -> None:
        while not any(event.get("method") == method for event in self.events):
            self.events.append(self.read())

    def evaluate(self, script: str) -> Any:
        return self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)["result"][
            "value"
        ]

    def named(self, method: str) -> list[dict[str, Any]]:
        return [event["params"] for event in self.events if event.get("method") == method]


@contextmanager
def opened(chromium: str, page: Path, profile: Path) -> Iterator[Browser]:
    """A browser that has loaded a page from the disk."""
    (commands_out, commands_in), (answers_out, answers_in) = os.pipe(), os.pipe()
    wrapper = f'exec "$0" "$@" 3<&{commands_out} 4>&{answers_in}'
    words = ["bash", "-c", wrapper, chromium, *FLAGS, f"--user-data-dir={profile}"]
    process = subprocess.Popen(words, pass_fds=(commands_out, answers_in), stderr=subprocess.DEVNULL)
    try:
        browser = Browser(commands_in, answers_out)
        target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        browser.session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            browser.call(f"{domain}.enable")
        browser.call("Page.navigate", url=page.resolve().as_uri())
        browser.wait("Page.loadEventFired")
        # Two frames later everything has been drawn, and a script that fails has failed.
        browser.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))")
        yield browser
    finally:
        process.kill()
        process.wait()
        for handle in (commands_out, commands_in, answers_out, answers_in):
            os.close(handle)
