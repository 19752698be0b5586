"""`python -m sandbox.aws --port 0 --state DIR --ready-file F`: AWS on 127.0.0.1 until SIGTERM.

The state is saved when the server ends and after each minute with requests: a killed server loses little.
"""

import argparse
import contextlib
import fcntl
import json
import logging
import os
import shutil
import signal
import sys
import threading
import time
from pathlib import Path

from werkzeug.serving import make_server

from sandbox.aws.athena import AthenaEngine
from sandbox.aws.backends import Gate, S3Store
from sandbox.aws.faults import Faults
from sandbox.aws.files import ParquetFiles
from sandbox.aws.glue import GlueEngine
from sandbox.aws.redshift import RedshiftEngine
from sandbox.aws.server import Application, QuietHandler
from sandbox.aws.state import StateError, restore_state, save_state
from sandbox.aws.webhdfs import WebHdfs


def serve(options: argparse.Namespace) -> None:
    """Serve until SIGTERM, SIGINT or the end of the parent process, then save the state."""
    state: Path = options.state
    parent, stopping = os.getppid(), threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    restore_state(state)
    work = state / "tmp"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    gate = Gate()
    store = S3Store(gate)
    server = make_server(options.host, options.port, _refuse_early, threaded=True, request_handler=QuietHandler)
    # moto signs and redirects with this variable; job runs get the URL from their environment.
    os.environ["MOTO_PORT"] = str(server.port)
    glue = GlueEngine(store, f"http://127.0.0.1:{server.port}", work, keep_workers=options.keep_glue)
    files = ParquetFiles(store, work / "parquet")
    faults = Faults()
    athena, redshift = AthenaEngine(store, files, faults), RedshiftEngine(store, files, state, faults)
    actions = glue.list_actions() | athena.list_actions() | redshift.list_actions()
    app = Application(actions, WebHdfs(store), gate, lambda: save_state(state, gate), faults)
    server.app = app
    threading.Thread(target=server.serve_forever, args=(0.05,), name="server", daemon=True).start()
    if (ready_file := options.ready_file) is not None:
        beside = ready_file.with_name(f"{ready_file.name}.new")
        beside.write_text(json.dumps({"port": server.port, "pid": os.getpid()}))
        beside.replace(ready_file)
    saved, due = 0, time.monotonic() + options.save_seconds
    while not stopping.wait(0.5) and os.getppid() == parent:
        if time.monotonic() > due:
            due = time.monotonic() + options.save_seconds
            if app.served != saved:
                saved = app.served
                save_state(state, gate)
    glue.end()
    server.shutdown()
    redshift.end()
    save_state(state, gate)
    shutil.rmtree(work, ignore_errors=True)


def _refuse_early(_environ: object, _start_response: object) -> list[bytes]:
    raise RuntimeError("the sandbox is still starting")


def read_arguments(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.aws", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 only inside a container")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--state", type=Path, required=True, help="directory that keeps the state")
    parser.add_argument(
        "--save-seconds", type=float, default=60, help="seconds between saves while the sandbox is used"
    )
    parser.add_argument("--ready-file", type=Path, help="gets the port and process id as JSON")
    parser.add_argument("--keep-glue", action="store_true", help="a Glue run takes over the Spark of one that ended")
    return parser.parse_args(arguments)


def main() -> int:
    """Read the command line and serve."""
    options = read_arguments(sys.argv[1:])
    logging.getLogger("sqlglot").setLevel(logging.ERROR)  # it warns about statements that are refused anyway
    options.state.mkdir(parents=True, exist_ok=True)
    with (options.state / "aws.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.stderr.write(f"{options.state} is in use by another sandbox: stop it or give another --state\n")
            return 1
        try:
            serve(options)
        except StateError as error:
            sys.stderr.write(f"{error}\n")
            return 1
    return 0


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
