"""Runs one Glue job script: `python launch.py <error file> <script> [arguments]`.

Standard input is a pipe held by the server: when it closes, the server is gone and the run ends with it.
"""

import os
import runpy
import signal
import sys
import threading
from pathlib import Path


def _end_with_server() -> None:
    os.read(0, 1)
    os.killpg(os.getpgrp(), signal.SIGKILL)


def _summarize(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"SystemExit: {error.code}"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {' '.join(lines[:2])}"[:1000]


def main() -> None:
    """Run the script as __main__ and leave its exception, in one line, in the error file."""
    error_file, script = Path(sys.argv[1]), sys.argv[2]
    threading.Thread(target=_end_with_server, daemon=True).start()
    sys.argv = sys.argv[2:]
    try:
        runpy.run_path(script, run_name="__main__")
    except BaseException as error:
        if not isinstance(error, SystemExit) or error.code not in {None, 0}:
            error_file.write_text(_summarize(error))
        raise


if __name__ == "__main__":
    main()
