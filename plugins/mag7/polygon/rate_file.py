"""The turns of a key on one host, kept in a small locked file, so that processes share one rate limit and its pauses.

Times are those of a clock that all processes of a host share and that never goes back while it is up. What the file
says is checked before it is believed; where it cannot be, counting starts again after every turn that may have been
given out. The file's name holds a digest, never the key.
"""

from __future__ import annotations

import fcntl
import math
import os
import struct
import tempfile
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from io import FileIO
from pathlib import Path
from urllib.parse import urlsplit

from mag7.errors import Mag7Error
from mag7.polygon.errors import RateFileError
from mag7.polygon.rate import Clock
from mag7.polygon.source import OFFICIAL_HOSTS, POLYGON

REACH_SECONDS = 0.2
"""Turns are given out at most this long before they begin, so that a killed process takes few with it."""

FAIR_SECONDS = 1.0
"""Half of the reach has to be waited for; half of that half comes in this time."""

SLICE_SECONDS = 0.2
"""A process takes at most this long a row of turns at once, however many threads wait: the others come between."""

LONGEST_PAUSE_SECONDS = 3600.0
LOCK_RETRY_SECONDS = 0.001
LOCK_TRIES = 2000
"""A lock is held for microseconds; who tries for two seconds waits for a process that was stopped. Tries are counted,
not time: it may have been this process that stood still.
"""
LEFTOVER_SECONDS = 86_400.0

_MAGIC = b"mag7rate"
_RECORD = struct.Struct("<8s4d")
_CHECKSUM = struct.Struct("<I")
_SIZE = _RECORD.size + _CHECKSUM.size
_BOOT = Path("/proc/sys/kernel/random/boot_id")


class LockBusyError(Mag7Error):
    """The lock could not be had in time; never leaves this room."""


@dataclass(frozen=True, slots=True)
class Book:
    """What the file says: when it was written, the next free turn, when a pause ends; seconds of the host's clock.

    ``ahead`` bounds how far after ``written`` the next turn can be.
    """

    written: float
    next: float
    resume: float
    ahead: float

    def pack(self) -> bytes:
        """Write it as the file's bytes."""
        record = _RECORD.pack(_MAGIC, self.written, self.next, self.resume, self.ahead)
        return record + _CHECKSUM.pack(zlib.crc32(record))


@dataclass(frozen=True, slots=True)
class Turns:
    """``count`` turns from ``start`` on; none where it is too early: then ``start`` is when to ask again."""

    start: float
    count: int


def name_bucket(base_url: str, api_key: str) -> str:
    """Name what a key's calls to an address are counted in; the key cannot be had from it.

    The provider's official hosts are one address: it counts a key's calls to both together.
    """
    host = urlsplit(base_url).hostname
    address = POLYGON if host in OFFICIAL_HOSTS else base_url.strip().rstrip("/")
    text = f"{address}\n{api_key.strip()}".encode()
    return blake2b(text, digest_size=8, salt=b"rate", person=b"mag7-polygon").hexdigest()


def default_folder() -> Path:
    """Give the folder of this user's rate files on this host."""
    return Path(tempfile.gettempdir()) / f"mag7-rate-{os.geteuid()}"


def look_ahead(interval: float) -> float:
    """How far ahead of now, in seconds, the first turn that nobody has can be."""
    return REACH_SECONDS + max(SLICE_SECONDS, interval)


class RateFile:
    """One bucket's file in a folder, which is made with mode 0700 where it does not exist.

    Safe to use from threads. Raises RateFileError, which names the setting, where folder or file cannot be used, or
    others could write to them.
    """

    def __init__(self, folder: Path, bucket: str, clock: Clock) -> None:
        self.path = folder / f"rate-{bucket}-{_read_boot()}"
        self.clock = clock
        self._using = threading.Lock()
        self._opened: tuple[int, FileIO] | None = None
        with self._told_in_words():
            self._open()
            _sweep(folder)

    def reserve(
        self,
        interval: float,
        most: int,
        stop: threading.Event,
        *,
        waited: float = 0.0,
        tries: int = LOCK_TRIES,
    ) -> Turns:
        """Take up to ``most`` turns, ``interval`` seconds apart, that begin within REACH_SECONDS.

        Who has ``waited`` longer for its turns reaches farther, and so comes before who just had some. Raises
        LockBusyError after ``tries`` attempts to lock it, a millisecond apart, or once ``stop`` is set, and
        RateFileError where the file cannot be read or written.
        """
        reach = REACH_SECONDS * (0.5 + 0.5 * waited / (waited + FAIR_SECONDS))
        with self._locked(stop, tries) as file:
            found = _read_checked(file, self.clock)
            now = self.clock.monotonic()
            book = found or _begin(now, interval)
            start = max(now, book.next, book.resume)
            if start > now + reach:
                # Written also where nothing was taken: a file that was replaced must not be replaced again.
                _write(file, Book(now, book.next, book.resume, max(book.ahead, book.next - now)))
                return Turns(start - reach, 0)
            count = max(1, min(most, math.floor(SLICE_SECONDS / interval)))
            _write(file, Book(now, start + count * interval, book.resume, look_ahead(interval)))
            return Turns(start, count)

    def pause(self, seconds: float, interval: float) -> None:
        """Let nobody have a turn for that many seconds, an hour at most; raises as ``reserve`` does."""
        with self._locked(threading.Event(), LOCK_TRIES) as file:
            found = _read_checked(file, self.clock)
            now = self.clock.monotonic()
            book = found or _begin(now, interval)
            resume = max(book.resume, now + min(seconds, LONGEST_PAUSE_SECONDS))
            _write(file, Book(now, book.next, resume, max(book.ahead, book.next - now)))

    def read_resume(self) -> float:
        """Read when the last pause ends, without the lock; 0 where nothing can be read that makes sense."""
        with self._told_in_words():
            book = _read_checked(self._current(), self.clock)
        return 0.0 if book is None else book.resume

    @contextmanager
    def _locked(self, stop: threading.Event, tries: int) -> Iterator[FileIO]:
        with self._using, self._told_in_words():
            for _ in range(tries):
                file = self._current()
                if _try_lock(file):
                    try:
                        if file is self._current():
                            yield file
                            return
                        # It was replaced while we waited for its lock: nobody counts in it any more.
                    finally:
                        fcntl.flock(file, fcntl.LOCK_UN)
                elif stop.is_set():
                    break
                else:
                    self.clock.wait(LOCK_RETRY_SECONDS, stop)
            raise LockBusyError(f"{self.path} is locked by a process that does not go on")

    def _current(self) -> FileIO:
        """Give the file that the path names now, opened by this process: a lock is shared with who is forked."""
        opened = self._opened
        if opened is not None and opened[0] == os.getpid() and _is_at(opened[1], self.path):
            return opened[1]
        return self._open()

    def _open(self) -> FileIO:
        _make_folder(self.path.parent)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        file = FileIO(os.open(self.path, flags, 0o600), "r+")
        self._opened = (os.getpid(), file)
        return file

    @contextmanager
    def _told_in_words(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise RateFileError(str(self.path), error.strerror or type(error).__name__) from None


def _try_lock(file: FileIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(file: FileIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _parse(content: bytes) -> Book | None:
    if len(content) != _SIZE or not content.startswith(_MAGIC):
        return None
    if _CHECKSUM.unpack_from(content, _RECORD.size)[0] != zlib.crc32(content[: _RECORD.size]):
        return None
    return Book(*_RECORD.unpack_from(content)[1:])


def _read_checked(file: FileIO, clock: Clock) -> Book | None:
    """Read the book; None where it is torn, or of a clock that is not ours."""
    book = _parse(os.pread(file.fileno(), _SIZE, 0))
    if book is None:
        return None
    now = clock.monotonic()
    plausible = (
        book.written <= now
        and book.next <= book.written + book.ahead
        and book.resume <= book.written + LONGEST_PAUSE_SECONDS
    )
    return book if plausible else None


def _begin(now: float, interval: float) -> Book:
    """Begin to count: turns may have been given out up to where the next one is put, and none after."""
    ahead = look_ahead(interval)
    return Book(now, now + ahead, 0.0, ahead)


def _write(file: FileIO, book: Book) -> None:
    # One write of a few bytes inside one page: a process that is killed has made it or has not.
    os.pwrite(file.fileno(), book.pack(), 0)


def _read_boot() -> str:
    """The clock starts again when the host does, and a file of before would be of another clock."""
    try:
        return _BOOT.read_text(encoding="ascii")[:8]
    except OSError:
        return "host"


def _make_folder(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if found.st_uid != os.geteuid() or found.st_mode & 0o022 or not folder.is_dir() or folder.is_symlink():
        raise RateFileError(str(folder), "it is not a folder of this user's that nobody else can write to")


def _sweep(folder: Path) -> None:
    """Delete the files of keys and boots that were not used for a day; who still uses one starts it again."""
    for path in folder.glob(f"rate-{'[0-9a-f]' * 16}-*"):
        try:
            if time.time() - path.stat().st_mtime > LEFTOVER_SECONDS:
                path.unlink()
        except FileNotFoundError:
            continue
