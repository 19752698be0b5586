"""`python -m sandbox.aws --port 0 --state DIR --ready-file F`: AWS on 127.0.0.1 until SIGTERM."""

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


def serve(port: int, state: Path, ready_file: Path | None, *, keep_glue: bool) -> None:
    """Serve until SIGTERM, SIGINT or the end of the parent process, then save the state."""
    parent, stopping = os.getppid(), threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    restore_state(state)
    work = state / "tmp"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    gate = Gate()
    store = S3Store(gate)
    server = make_server("127.0.0.1", port, _refuse_early, threaded=True, request_handler=QuietHandler)
    # moto signs and redirects with this variable; job runs get the address by environment.
    os.environ["MOTO_PORT"] = str(server.port)
    glue = GlueEngine(store, f"http://127.0.0.1:{server.port}", work, keep_workers=keep_glue)
    files = ParquetFiles(store, work / "parquet")
    faults = Faults()
    athena, redshift = AthenaEngine(store, files, faults), RedshiftEngine(store, files, state, faults)
    actions = glue.list_actions() | athena.list_actions() | redshift.list_actions()
    server.app = Application(actions, WebHdfs(store), gate, lambda: save_state(state, gate), faults)
    threading.Thread(target=server.serve_forever, args=(0.05,), name="server", daemon=True).start()
    if ready_file is not None:
        beside = ready_file.with_name(f"{ready_file.name}.new")
        beside.write_text(json.dumps({"port": server.port, "pid": os.getpid()}))
        beside.replace(ready_file)
    while not stopping.wait(0.5) and os.getppid() == parent:
        pass
    glue.end()
    server.shutdown()
    redshift.end()
    save_state(state, gate)
    shutil.rmtree(work, ignore_errors=True)


def _refuse_early(_environ: object, _start_response: object) -> list[bytes]:
    raise RuntimeError("the sandbox is still starting")


def main() -> int:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.aws", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--state", type=Path, required=True, help="directory that keeps the state")
    parser.add_argument("--ready-file", type=Path, help="gets the port and process id as JSON")
    parser.add_argument("--keep-glue", action="store_true", help="a Glue run takes over the Spark of one that ended")
    options = parser.parse_args()
    logging.getLogger("sqlglot").setLevel(logging.ERROR)  # it warns of statements that are refused anyway
    options.state.mkdir(parents=True, exist_ok=True)
    with (options.state / "aws.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.stderr.write(f"{options.state} is in use by another sandbox: stop it or give another --state\n")
            return 1
        try:
            serve(options.port, options.state, options.ready_file, keep_glue=options.keep_glue)
        except StateError as error:
            sys.stderr.write(f"{error}\n")
            return 1
    return 0


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
