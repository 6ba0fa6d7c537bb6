"""A headless Chromium, driven by WebDriver over http.client: what the tests of the page need of it, and nothing else."""
import base64
import http.client
import json
import os
import re
import shutil
import subprocess
import tempfile
import time

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"]


def is_here():
    return shutil.which("chromium") is not None and shutil.which("chromedriver") is not None


class Browser:
    """with Browser() as browser: ...; all of it is gone afterwards."""

    def __init__(self, patience=1, width=1280, height=1600, flags=()):
        self.patience = patience
        self.folder = tempfile.mkdtemp(prefix="mnemo-browser.")
        self.driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, text=True, start_new_session=True,
                                       env={**os.environ, "HOME": self.folder, "TMPDIR": self.folder})
        self.session = None
        try:
            self.port = self._port()
            options = {"args": [*FLAGS, *flags, f"--user-data-dir={self.folder}/profile", f"--window-size={width},{height}"],
                       "binary": shutil.which("chromium")}
            answer = self._call("POST", "/session", {"capabilities": {"alwaysMatch": {
                "browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}}})
            self.session = answer["sessionId"]
        except BaseException:
            self.close()
            raise

    def _port(self):
        for line in self.driver.stdout:
            found = re.search(r"successfully on port (\d+)", line)
            if found:
                return int(found[1])
        raise RuntimeError("chromedriver did not start")

    def _call(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60 * self.patience)
        connection.request(method, path, json.dumps(body if body is not None else {}) if method == "POST" else None)
        answer = json.load(connection.getresponse())["value"]
        connection.close()
        if isinstance(answer, dict) and "error" in answer:
            raise RuntimeError(f"{path}: {answer['error']}: {answer['message']}")
        return answer

    def _do(self, method, path, body=None):
        return self._call(method, f"/session/{self.session}{path}", body)

    def go(self, url):
        self._do("POST", "/url", {"url": url})

    def run(self, script, *arguments):
        return self._do("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def text(self, selector):
        return self.run("const e = document.querySelector(arguments[0]); return e === null ? null : e.textContent", selector)

    def wait(self, what, script, seconds=20):
        """Until the script returns something true, which is returned; how long that took is in .took."""
        begun = time.monotonic()
        while True:
            found = self.run(script)
            self.took = time.monotonic() - begun
            if found:
                return found
            if self.took > seconds * self.patience:
                raise AssertionError(f"not within the deadline: {what}; the page says: {self.text('body')[:1500]}")
            time.sleep(0.02)

    def console(self):
        return [entry for entry in self._do("POST", "/se/log", {"type": "browser"}) if entry["level"] in ("SEVERE", "WARNING")]

    def emulate(self, **features):
        self._do("POST", "/goog/cdp/execute", {"cmd": "Emulation.setEmulatedMedia", "params": {
            "features": [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]}})

    def screenshot(self, path, whole=True):
        shot = self._do("POST", "/goog/cdp/execute", {"cmd": "Page.captureScreenshot", "params": {
            "format": "png", "captureBeyondViewport": whole}})
        with open(path, "wb") as file:
            file.write(base64.b64decode(shot["data"]))

    def press(self, *keys):
        self._do("POST", "/actions", {"actions": [{"type": "key", "id": "keys", "actions": [
            {"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]}]})

    def close(self):
        try:
            if self.session:
                self._do("DELETE", "")
        finally:
            self.driver.terminate()
            self.driver.wait()
            self.driver.stdout.close()
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
