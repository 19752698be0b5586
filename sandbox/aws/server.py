"""One port for everything: the engines' API actions, Spark's file system, and moto for the rest."""

import json
import re
from collections.abc import Callable, Iterable
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.wrappers import Request, Response

from sandbox.aws.api import Action, ApiError
from sandbox.aws.backends import Gate
from sandbox.aws.webhdfs import ROOT, WebHdfs

StartResponse = Callable[..., Any]
Environ = dict[str, Any]


class QuietHandler(MotoRequestHandler):  # type: ignore[misc]  # moto carries no types
    """Handles a connection without a line on standard error for every request."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log nothing."""


class Application:
    """The WSGI application of the sandbox."""

    def __init__(self, actions: dict[str, Action], hdfs: WebHdfs, gate: Gate, save: Callable[[], int]) -> None:
        self._actions = actions
        self._hdfs = hdfs
        self._gate = gate
        self._save = save
        self._moto = DomainDispatcherApplication(create_backend_app)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        action = self._actions.get(environ.get("HTTP_X_AMZ_TARGET", ""))
        path = environ.get("PATH_INFO", "")
        if action is not None:
            return self._act(action, Request(environ))(environ, start_response)
        if path.startswith(ROOT):
            return self._hdfs.answer(Request(environ))(environ, start_response)
        if path.startswith("/sandbox/"):
            return self._manage(Request(environ))(environ, start_response)
        with self._gate.shared():
            answer: Iterable[bytes] = self._moto(environ, start_response)
            return answer

    def _act(self, action: Action, request: Request) -> Response:
        scope = re.search(r"Credential=[^/]+/\d+/([^/]+)/", request.headers.get("Authorization", ""))
        try:
            body = action(scope[1] if scope else "us-east-1", json.loads(request.get_data() or b"{}"))
        except ApiError as error:
            refusal = {"__type": error.code, "message": str(error), "Message": str(error)}
            headers = {"x-amzn-errortype": error.code}
            return Response(json.dumps(refusal), 400, headers, content_type="application/x-amz-json-1.1")
        return Response(json.dumps(body), content_type="application/x-amz-json-1.1")

    def _manage(self, request: Request) -> Response:
        if request.path == "/sandbox/health":
            return Response(json.dumps({"status": "ok"}), content_type="application/json")
        if request.path == "/sandbox/save" and request.method == "POST":
            return Response(json.dumps({"bytes": self._save()}), content_type="application/json")
        return Response(json.dumps({"error": f"no {request.method} {request.path}"}), 404)
