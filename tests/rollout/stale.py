"""A server between a run and a real one, with the field's commonest fault: it goes on with the adapter of before.

The first two it passes on as they come: the very first is no different from the base, so going on with it would be
sampling from the base, which is another fault.
"""

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


class Stale(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, url: str) -> None:
        self.behind, self.names = str(urlsplit(url).netloc), list[str]()
        super().__init__(("127.0.0.1", 0), Passing)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Passing(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.answer(*self.passed_on("GET", None))

    def do_POST(self) -> None:
        assert isinstance(self.server, Stale)
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        names = self.server.names
        if self.path == "/v1/unload_lora_adapter":
            self.answer(200, b'"as if"')
            return
        if self.path == "/v1/load_lora_adapter":
            names.append(body["lora_name"])
        elif body["model"] in names[2:]:
            body["model"] = names[names.index(body["model"]) - 1]
        self.answer(*self.passed_on("POST", body))

    def passed_on(self, method: str, body: object) -> tuple[int, bytes]:
        assert isinstance(self.server, Stale)
        connection = http.client.HTTPConnection(self.server.behind, timeout=600)
        connection.request(method, self.path, None if body is None else json.dumps(body))
        response = connection.getresponse()
        return response.status, response.read()

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        return


@contextmanager
def stale(url: str) -> Iterator[str]:
    """The address of one in front of the server at `url`."""
    server = Stale(url)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.url
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
