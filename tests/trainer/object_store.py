"""An S3-compatible store on this machine (moto's), which can be told to fail."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

import fsspec
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

BUCKET = "lake"


def never(method: str, path: str) -> bool:
    return False


class ObjectStore:
    """s3://lake, served until `close`.

    fails: (HTTP method, path) → whether that request is answered with an error of the server's.
    """

    def __init__(self) -> None:
        self.fails: Callable[[str, str], bool] = never
        self.failures: list[tuple[str, str]] = []
        self._app = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, environ: dict, start_response: Callable) -> Iterable[bytes]:
        request = (environ["REQUEST_METHOD"], environ["PATH_INFO"])
        if self.fails(*request):
            self.failures.append(request)
            start_response("500 Internal Server Error", [("Content-Length", "0")])
            return [b""]
        return self._app(environ, start_response)


def upload(folder: str, uri: str) -> str:
    """Copy a folder's files to a URI; the URI."""
    filesystem, path = fsspec.core.url_to_fs(uri)
    filesystem.put(f"{folder}/", f"{path}/", recursive=True)
    return uri
