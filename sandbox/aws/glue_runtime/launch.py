"""Runs Glue job scripts, one after another: reads a job as a JSON line, answers with its exit code on a line.

A job is ``{"home", "script", "arguments", "path"}``: the folder to run in, which also gets the files stdout, stderr
and error; ``path`` is put before the module search path. When standard input closes, the server is gone and this
process ends with all that it started.
"""

import contextlib
import json
import os
import queue
import runpy
import signal
import sys
import threading
from pathlib import Path
from typing import Any

Job = dict[str, Any]


def _read_jobs(jobs: "queue.Queue[Job]") -> None:
    for line in sys.stdin:
        jobs.put(json.loads(line))
    os.killpg(os.getpgrp(), signal.SIGKILL)


def _summarize(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"SystemExit: {error.code}"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {' '.join(lines[:2])}"[:1000]


def _exit_code(ended: SystemExit) -> int:
    # int() also for a bool, which is one: its name would be no exit code.
    return int(ended.code) if isinstance(ended.code, int) else int(ended.code is not None)


def _run(job: Job) -> int:
    """Run the script as __main__ and leave its exception, in one line, in the error file; returns the exit code."""
    home, before = Path(job["home"]), set(sys.modules)
    os.chdir(home)
    sys.argv, path = [job["script"], *job["arguments"]], list(sys.path)
    sys.path[:0] = job["path"]
    try:
        runpy.run_path(job["script"], run_name="__main__")
    except BaseException as error:
        code = _exit_code(error) if isinstance(error, SystemExit) else 1
        if code:
            (home / "error").write_text(_summarize(error))
            if not isinstance(error, SystemExit):
                sys.excepthook(type(error), error, error.__traceback__)
        return code
    finally:
        sys.path[:] = path
        # The next job brings modules of its own under the same names.
        for name in set(sys.modules) - before:
            if str(getattr(sys.modules[name], "__file__", None) or "").startswith(str(home)):
                del sys.modules[name]
    return 0


@contextlib.contextmanager
def _output_to(home: Path) -> Any:
    """Let everything written below this process go to files of the job."""
    for number, name in ((1, "stdout"), (2, "stderr")):
        target = os.open(home / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(target, number)
        os.close(target)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def main() -> None:
    """Run jobs until standard input closes."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    jobs: queue.Queue[Job] = queue.Queue()
    threading.Thread(target=_read_jobs, args=(jobs,), daemon=True).start()
    while True:
        job = jobs.get()
        with _output_to(Path(job["home"])):
            code = _run(job)
        answers.write(f"{code}\n")


if __name__ == "__main__":
    main()
