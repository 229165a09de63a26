"""A Hugging Face hub on this machine, as far as pushing a folder needs one: the answers are those of its HTTP API."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

TOKEN = "hf_of_somebody"
OID = "0123456789abcdef0123456789abcdef01234567"


class Hub(ThreadingHTTPServer):
    """Keeps what it was given; `is_full` makes it refuse commits."""

    is_full = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.repositories: dict[str, bool] = {}
        """By name, whether it is private."""
        self.files: dict[str, bytes] = {}
        self.summaries: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def running_hub() -> Iterator[Hub]:
    with Hub() as hub:
        thread = Thread(target=hub.serve_forever, daemon=True)
        thread.start()
        try:
            yield hub
        finally:
            hub.shutdown()
            thread.join()


class Answers(BaseHTTPRequestHandler):
    server: Hub  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_GET(self) -> None:
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.answer(401, {"error": "Invalid credentials in Authorization header"})
        known = {"/api/whoami-v2": {"name": "me", "type": "user"}}
        repo = {f"/api/models/{name}": {"id": name, "sha": OID, "private": True} for name in self.server.repositories}
        path = self.path.partition("?")[0].removesuffix("/revision/main")
        found = (known | repo).get(path)
        self.answer(200 if found else 404, found or {"error": f"no {self.path}"})

    def do_POST(self) -> None:
        body = self.body()
        match self.path.partition("?")[0].split("/")[1:]:
            case ["api", "repos", "create"]:
                asked = json.loads(body)
                name = "/".join(filter(None, (asked.get("organization") or "me", asked["name"])))
                self.server.repositories[name] = asked["visibility"] == "private"
                self.answer(200, {"url": f"{self.server.url}/{name}"})
            case ["api", "validate-yaml"]:
                self.answer(200, {"errors": [], "warnings": []})
            case ["api", "models", *_, "preupload", "main"]:
                files = [file["path"] for file in json.loads(body)["files"]]
                modes = [{"path": path, "uploadMode": "regular", "shouldIgnore": False} for path in files]
                self.answer(200, {"files": modes})
            case ["api", "models", *_, "commit", "main"] if self.server.is_full:
                self.answer(403, {"error": "Private repository storage limit reached"})
            case ["api", "models", *name, "commit", "main"]:
                self.take(body, "/".join(name))
            case _:
                self.answer(404, {"error": f"no {self.path}"})

    def take(self, body: bytes, name: str) -> None:
        for row in map(json.loads, body.splitlines()):
            if row["key"] == "header":
                self.server.summaries.append(row["value"]["summary"])
            if row["key"] == "file":
                self.server.files[row["value"]["path"]] = base64.b64decode(row["value"]["content"])
        self.answer(200, {"success": True, "commitOid": OID, "commitUrl": f"{self.server.url}/{name}/commit/{OID}"})

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        found = b""
        while size := int(self.rfile.readline().strip(), 16):
            found += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return found

    def answer(self, status: int, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """The test's output is its own."""
