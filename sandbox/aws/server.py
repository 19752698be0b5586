"""One port for the engines' API actions, Spark's file system, and moto for the rest."""

import json
import re
from collections.abc import Callable, Iterable
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.wrappers import Request, Response

from sandbox.aws.api import Action, ApiError
from sandbox.aws.backends import Gate
from sandbox.aws.faults import CALL_KINDS, Faults, refuse
from sandbox.aws.webhdfs import ROOT, WebHdfs
from sandbox.fault_rules import FaultRuleError

StartResponse = Callable[..., Any]
Environ = dict[str, Any]


class QuietHandler(MotoRequestHandler):  # type: ignore[misc]  # moto carries no types
    """Handles a connection without a log line for each request."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log nothing."""


class Application:
    """The WSGI application of the sandbox."""

    def __init__(
        self, actions: dict[str, Action], hdfs: WebHdfs, gate: Gate, save: Callable[[], int], faults: Faults
    ) -> None:
        self._actions = actions
        self._hdfs = hdfs
        self._gate = gate
        self._save = save
        self._faults = faults
        self.served = 0
        """Count of requests, without those about the sandbox itself."""
        self._moto = DomainDispatcherApplication(create_backend_app)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request, or fail it where a fault applies."""
        if environ.get("PATH_INFO", "").startswith("/sandbox/"):
            return self._manage(Request(environ))(environ, start_response)
        self.served += 1
        target = _name_call(environ)
        fault = self._faults.choose(CALL_KINDS, target)
        if fault is None:
            return self._answer(environ, start_response)
        if fault == "lost_answer":
            for _ in self._answer(environ, lambda *_: None):
                pass
        else:
            Request(environ).get_data()  # an unread body would be read as the next request
        return refuse(fault, target)(environ, start_response)

    def _answer(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        action = self._actions.get(environ.get("HTTP_X_AMZ_TARGET", ""))
        if action is not None:
            return self._act(action, Request(environ))(environ, start_response)
        if environ.get("PATH_INFO", "").startswith(ROOT):
            return self._hdfs.answer(Request(environ))(environ, start_response)
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
        if request.path == "/sandbox/faults":
            return self._steer_faults(request)
        return Response(json.dumps({"error": f"no {request.method} {request.path}"}), 404)

    def _steer_faults(self, request: Request) -> Response:
        if request.method == "GET":
            return Response(json.dumps(self._faults.describe()), content_type="application/json")
        try:
            rules = self._faults.set_rules(json.loads(request.get_data()))
        except (FaultRuleError, ValueError) as error:
            return Response(json.dumps({"error": str(error)}), 400, content_type="application/json")
        return Response(json.dumps({"rules": rules}), content_type="application/json")


def _name_call(environ: Environ) -> str:
    """Name a call as fault rules do."""
    path = str(environ.get("PATH_INFO", ""))
    if path.startswith(ROOT):
        request = Request(environ)
        operation = request.args.get("op", "").upper()
        if operation == "CREATE" and "data" not in request.args:
            operation = "PLACE"  # Hadoop asks for a location first, which writes nothing
        return f"HDFS {operation} /{path.removeprefix(ROOT)}"
    return str(environ.get("HTTP_X_AMZ_TARGET") or f"S3 {environ.get('REQUEST_METHOD')} {path}")
