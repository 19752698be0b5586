"""One limit for the processes of a host: never more than allowed, a pause for all, whatever becomes of the file."""

from __future__ import annotations

import fcntl
import math
import os
import stat
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mag7.polygon.errors import RateFileError
from mag7.polygon.rate import SYSTEM_CLOCK, Clock
from mag7.polygon.rate_file import Book, RateFile, default_folder, look_ahead, name_bucket
from mag7.polygon.rate_host import HostLimiter, host_limiter
from tests.unit.polygon.local_provider import KEY, FakeClock
from tests.unit.polygon.test_rate import most_in_a_minute

NEVER = threading.Event()
BUCKET = name_bucket("http://127.0.0.1:9", KEY)


def open_limiter(
    folder: Path, clock: Clock, calls_per_minute: float | None = 60.0, share: float | None = 15.0
) -> HostLimiter:
    """A limiter with a file of its own opening, as a process has it."""
    return HostLimiter(calls_per_minute, RateFile(folder, BUCKET, clock), share=share, clock=clock)


class LateClock(FakeClock):
    """A clock whose waits end late, as they do on a busy machine: by each of these seconds in turn."""

    def __init__(self, late: list[float]) -> None:
        super().__init__()
        self._late = cycle(late)

    def wait(self, seconds: float, stop: threading.Event) -> None:
        super().wait(seconds + next(self._late), stop)


def fullest(times: list[float], seconds: float) -> int:
    """The fullest window of so many seconds, both its ends counted."""
    return max(sum(1 for time in times if start <= time <= start + seconds) for start in times)


def only_file(folder: Path) -> Path:
    (file,) = folder.iterdir()
    return file


@given(
    per_minute=st.integers(1, 120) | st.floats(0.5, 120),
    steps=st.lists(
        st.tuples(st.integers(0, 3), st.floats(0, 90) | st.floats(0, 0.3) | st.just(0.0)), min_size=1, max_size=60
    ),
    pauses=st.dictionaries(st.integers(0, 59), st.tuples(st.integers(0, 3), st.floats(0, 130)), max_size=4),
    damages=st.dictionaries(st.integers(0, 59), st.sampled_from(["delete", "empty", "garbage", "flip"]), max_size=4),
    late=st.lists(st.floats(0, 0.7), max_size=5),
)
def test_no_minute_holds_more_calls_of_all_processes_than_allowed(
    per_minute: float,
    steps: list[tuple[int, float]],
    pauses: dict[int, tuple[int, float]],
    damages: dict[int, str],
    late: list[float],
) -> None:
    clock = LateClock([*late, 0.0, 0.0])
    times: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        processes = [open_limiter(folder, clock, per_minute) for _ in range(4)]
        paused_until = 0.0
        for number, (who, step) in enumerate(steps):
            clock.seconds += step
            if number in damages:
                damage(only_file(folder), damages[number])
                paused_until = 0.0
            if number in pauses:
                by, seconds = pauses[number]
                processes[by].pause(seconds)
                paused_until = max(paused_until, clock.seconds + seconds)
            assert processes[who].acquire(NEVER)
            assert clock.seconds >= paused_until - 1e-6
            times.append(clock.seconds)
    assert most_in_a_minute(times) <= math.ceil(per_minute)
    for seconds in (0.1, 1.0, 20.0):
        assert fullest(times, seconds) <= (seconds + processes[0].latest) / processes[0].interval + 1 + 1e-6


def test_no_second_of_a_paid_plan_can_hold_a_hundred_calls(tmp_path: Path) -> None:
    clock = FakeClock()
    processes = [open_limiter(tmp_path, clock, 5400, share=1350) for _ in range(4)]
    turns: list[float] = []
    for number in range(100):
        limiter = processes[number % 4]
        # As when three threads of it wait: turns are taken in a row, for each of them.
        limiter._waiting = 2
        turn = limiter._take_turn(NEVER)
        assert turn is not None
        turns += [turn, *limiter._turns]
        limiter._turns.clear()
    assert len(turns) == 300
    # In a second come, at worst, the turns that began in it, and those before it that are just not too late.
    assert 90 < fullest(turns, 1.0 + processes[0].latest) < 100


def damage(file: Path, how: str) -> None:
    if how == "delete":
        file.unlink()
    elif how == "empty":
        os.truncate(file, 0)
    elif how == "garbage":
        file.write_bytes(b"\xff" * 4000)
    else:
        content = bytearray(file.read_bytes())
        if content:
            content[len(content) // 2] ^= 1
        file.write_bytes(content)


class NotingLimiter(HostLimiter):
    """Notes the turn of every leave: what the clock shows after it, another thread may have moved."""

    def __init__(self, folder: Path, clock: Clock, used: list[float]) -> None:
        super().__init__(30, RateFile(folder, BUCKET, clock), share=10, clock=clock)
        self._used = used

    def _reach(self, turn: float, stop: threading.Event) -> bool:
        reached = super()._reach(turn, stop)
        if reached:
            self._used.append(turn)
        return reached


def test_no_turn_is_given_to_two_threads_of_any_process(tmp_path: Path) -> None:
    used: list[float] = []
    clock = FakeClock()
    processes = [NotingLimiter(tmp_path, clock, used) for _ in range(3)]
    with ThreadPoolExecutor(9) as threads:
        assert all(threads.map(lambda number: processes[number % 3].acquire(NEVER), range(90)))
    assert len(used) == 90
    assert min(later - earlier for earlier, later in pairwise(sorted(used))) >= processes[0].interval - 1e-6
    assert most_in_a_minute(used) <= 30


def test_one_process_alone_has_the_whole_limit_and_does_not_drift(tmp_path: Path) -> None:
    clock = FakeClock()
    limiter = open_limiter(tmp_path, clock, 5400, share=1350)
    assert limiter.acquire(NEVER)
    began = clock.seconds
    for _ in range(5400):
        # Something always comes between two calls, and every wait ends late: neither may add up.
        clock.seconds += 0.0005
        assert limiter.acquire(NEVER)
    assert clock.seconds - began == pytest.approx(60.6, abs=look_ahead(limiter.interval))


def test_a_pause_seen_by_one_holds_the_others_even_without_a_limit(tmp_path: Path) -> None:
    clock = FakeClock()
    limited, unlimited, third = (open_limiter(tmp_path, clock, limit) for limit in (5400, None, 5400))
    assert unlimited.acquire(NEVER)
    assert clock.seconds == 0.0
    unlimited.pause(40)
    unlimited.pause(10)
    assert limited.acquire(NEVER)
    assert clock.seconds >= 40
    before = clock.seconds
    third.pause(30)
    assert unlimited.acquire(NEVER)
    assert clock.seconds == pytest.approx(before + 30)


def test_turns_taken_before_a_pause_are_not_used_in_it(tmp_path: Path) -> None:
    clock = FakeClock()
    limiter, other = open_limiter(tmp_path, clock, 5400), open_limiter(tmp_path, clock, 5400)
    assert limiter.acquire(NEVER)
    limiter._turns.extend(clock.seconds + number * limiter.interval for number in range(1, 10))
    other.pause(20)
    paused = clock.seconds
    assert limiter.acquire(NEVER)
    assert clock.seconds >= paused + 20


def test_a_turn_that_is_reached_too_late_is_lost(tmp_path: Path) -> None:
    clock = FakeClock()
    limiter = open_limiter(tmp_path, clock, 5400)
    assert limiter.acquire(NEVER)
    limiter._turns.append(clock.seconds)
    clock.seconds += limiter.latest + 0.01
    before = clock.seconds
    assert limiter.acquire(NEVER)
    assert not limiter._turns
    assert before <= clock.seconds <= before + look_ahead(limiter.interval)


@pytest.mark.parametrize("back", [0.05, 1.0, 4990.0])
def test_a_clock_that_goes_back_neither_stops_nor_speeds_anybody(tmp_path: Path, back: float) -> None:
    clock = FakeClock()
    clock.seconds = 5000.0
    before = open_limiter(tmp_path, clock, 60)
    assert before.acquire(NEVER)
    before.pause(3000)
    clock.seconds -= back
    after = open_limiter(tmp_path, clock, 60)
    began = clock.seconds
    for _ in range(10):
        assert after.acquire(NEVER)
    assert began + 9 * after.interval <= clock.seconds <= began + 10 * after.interval + look_ahead(after.interval)


@pytest.mark.parametrize(
    "book",
    [
        Book(written=math.nan, next=0, resume=0, ahead=1),
        Book(written=0, next=math.inf, resume=0, ahead=1),
        Book(written=0, next=0, resume=math.nan, ahead=1),
        Book(written=0, next=0, resume=1e9, ahead=1),
        Book(written=100, next=0, resume=0, ahead=1),
        Book(written=0, next=1e6, resume=0, ahead=1),
    ],
)
def test_what_cannot_be_true_is_not_believed(tmp_path: Path, book: Book) -> None:
    clock = FakeClock()
    limiter = open_limiter(tmp_path, clock, 60)
    only_file(tmp_path).write_bytes(book.pack())
    for _ in range(3):
        assert limiter.acquire(NEVER)
    assert clock.seconds == pytest.approx(look_ahead(limiter.interval) + 2 * limiter.interval)


def test_who_reads_the_file_with_another_limit_shares_it_all_the_same(tmp_path: Path) -> None:
    clock = FakeClock()
    slow, fast = open_limiter(tmp_path, clock, 5), open_limiter(tmp_path, clock, 5400)
    assert slow.acquire(NEVER)
    before = clock.seconds
    assert fast.acquire(NEVER)
    assert clock.seconds == pytest.approx(before + slow.interval)


def test_a_lock_that_is_never_let_go_of_leaves_everyone_their_share(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = FakeClock()
    processes = [open_limiter(tmp_path, clock, 60, share=15) for _ in range(2)]
    assert processes[0].acquire(NEVER)
    times: list[float] = []
    with only_file(tmp_path).open("rb+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        for limiter in processes:
            for _ in range(20):
                assert limiter.acquire(NEVER)
                times.append(clock.seconds)
            assert most_in_a_minute(times) <= 15
            times.clear()
        processes[0].pause(500)
        paused = clock.seconds
        assert processes[0].acquire(NEVER)
        assert clock.seconds >= paused + 498, "at least the one who was asked to wait does"
    assert caplog.text.count("stays locked") == 2
    began = clock.seconds
    for _ in range(10):
        assert processes[1].acquire(NEVER)
    assert clock.seconds - began < 15, "back to the whole limit"


def test_a_stop_ends_every_wait(tmp_path: Path) -> None:
    stop = threading.Event()
    limiter = open_limiter(tmp_path, SYSTEM_CLOCK, 0.001)
    with ThreadPoolExecutor(3) as threads:
        waiting = [threads.submit(limiter.acquire, stop) for _ in range(3)]
        stop.set()
        assert [future.result(timeout=10) for future in waiting] == [False, False, False]
    assert not limiter.acquire(stop)
    unlimited = open_limiter(tmp_path, SYSTEM_CLOCK, None)
    unlimited.pause(1000)
    with ThreadPoolExecutor(1) as threads:
        stop.clear()
        paused = threads.submit(unlimited.acquire, stop)
        stop.set()
        assert paused.result(timeout=10) is False


def test_folder_and_file_are_this_users_alone(tmp_path: Path) -> None:
    limiter = open_limiter(tmp_path / "a" / "rate", FakeClock())
    assert limiter.acquire(NEVER)
    assert stat.S_IMODE((tmp_path / "a" / "rate").stat().st_mode) == 0o700
    assert stat.S_IMODE(only_file(tmp_path / "a" / "rate").stat().st_mode) == 0o600
    assert default_folder().name.endswith(str(os.geteuid()))


def test_a_folder_that_others_can_write_to_is_refused(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o777)
    (tmp_path / "mine").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    for name in ("shared", "link"):
        with pytest.raises(RateFileError, match=f"{name} cannot be used.*MAG7_RATE_FOLDER.*MAG7_WORKER_HOSTS"):
            RateFile(tmp_path / name, BUCKET, FakeClock())


def test_a_file_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    RateFile(tmp_path, BUCKET, FakeClock())
    file = only_file(tmp_path)
    (tmp_path / "precious").write_text("kept")
    file.unlink()
    file.symlink_to(tmp_path / "precious")
    with pytest.raises(RateFileError):
        RateFile(tmp_path, BUCKET, FakeClock())
    assert (tmp_path / "precious").read_text() == "kept"


def test_a_folder_that_goes_away_is_made_again_and_one_that_cannot_be_is_an_error_in_words(tmp_path: Path) -> None:
    limiter = open_limiter(tmp_path / "rate", FakeClock())
    for _ in range(2):
        only_file(tmp_path / "rate").unlink()
        (tmp_path / "rate").rmdir()
        assert limiter.acquire(NEVER)
    only_file(tmp_path / "rate").unlink()
    (tmp_path / "rate").rmdir()
    (tmp_path / "rate").touch()
    with pytest.raises(RateFileError, match="cannot be used: Not a directory"):
        limiter.acquire(NEVER)


def test_files_that_nobody_used_for_a_day_are_swept_and_nothing_else(tmp_path: Path) -> None:
    old, young = tmp_path / f"rate-{'0' * 16}-boot", tmp_path / f"rate-{'1' * 16}-boot"
    foreign = tmp_path / "rate-my-notes"
    for path in (old, young, foreign):
        path.touch()
    for path in (old, foreign):
        os.utime(path, (time.time() - 90_000,) * 2)
    RateFile(tmp_path, BUCKET, FakeClock())
    assert not old.exists()
    assert young.exists()
    assert foreign.exists()


def test_a_bucket_is_a_keys_at_an_address() -> None:
    names = {
        name_bucket(address, key)
        for address in ("http://one", "http://two", "https://api.polygon.io")
        for key in (KEY, "another")
    }
    assert len(names) == 6
    assert name_bucket("https://api.massive.com", KEY) == name_bucket("https://api.polygon.io/", KEY)
    assert not any(KEY in name or len(name) != 16 for name in names)


def test_a_process_has_one_limiter_a_bucket_and_a_forked_one_its_own(tmp_path: Path) -> None:
    first = host_limiter(BUCKET, 60.0, 15.0, tmp_path)
    assert host_limiter(BUCKET, 60.0, 15.0, tmp_path) is first
    child = os.fork()
    if not child:
        os._exit(int(host_limiter(BUCKET, 60.0, 15.0, tmp_path) is first))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
