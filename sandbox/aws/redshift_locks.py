"""Table locks and snapshots of Redshift's serializable transactions.

DuckDB lets two transactions write to one table side by side. Redshift makes the second writer wait, and then fails it
with error 1023 unless its snapshot is newer than the first writer's commit. A LOCK at the start of the transaction
prevents that.
"""

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field


class RedshiftError(Exception):
    """A statement that Redshift refuses or that fails."""


@dataclass(eq=False)
class Transaction:
    """What one transaction holds; snapshot is the number of the last commit that it can see."""

    snapshot: int | None = None
    held: set[str] = field(default_factory=set)
    locked: set[str] = field(default_factory=set)
    written: set[str] = field(default_factory=set)
    cancelled: bool = False


class TableLocks:
    """The locks of one database."""

    def __init__(self, wait_seconds: float = 300.0) -> None:
        self._changed = threading.Condition()
        self._wait_seconds = wait_seconds
        self._owners: dict[str, Transaction] = {}
        self._waiting: dict[Transaction, str] = {}
        self._commits: dict[str, int] = {}
        self._sequence = 0

    def begin(self, transaction: Transaction, start: Callable[[], None]) -> None:
        """Take the transaction's snapshot if it has none yet; start opens it in the engine."""
        with self._changed:
            if transaction.snapshot is None:
                start()
                transaction.snapshot = self._sequence

    def lock(self, transaction: Transaction, tables: Iterable[str]) -> None:
        """Wait for tables, in the order given, and lock them against readers and writers until the transaction ends."""
        for table in tables:
            self._acquire(transaction, table)
            transaction.locked.add(table)

    def write(self, transaction: Transaction, tables: Iterable[str]) -> None:
        """Wait for tables to write; raise error 1023 if one was written since the transaction's snapshot."""
        for table in tables:
            self._acquire(transaction, table)
            transaction.written.add(table)
            if transaction.snapshot is not None and self._commits.get(table, 0) > transaction.snapshot:
                message = f"Serializable isolation violation on table {table}, transactions forming the cycle are"
                raise RedshiftError(f"1023 DETAIL: {message} concurrent writers: LOCK {table} first. ERROR: 1023")

    def read(self, transaction: Transaction, tables: Iterable[str]) -> None:
        """Wait while another transaction holds an explicit lock on one of the tables."""
        for table in tables:
            self._wait(transaction, table, lambda owner, name=table: name in owner.locked)  # type: ignore[misc]

    def end(self, transaction: Transaction, finish: Callable[[], None], *, committed: bool) -> None:
        """End the transaction in the engine and release its locks."""
        with self._changed:
            try:
                finish()
                if committed and transaction.written:
                    self._sequence += 1
                    self._commits |= dict.fromkeys(transaction.written, self._sequence)
            finally:
                for table in transaction.held:
                    del self._owners[table]
                transaction.held.clear()
                self._changed.notify_all()

    def cancel(self, transaction: Transaction) -> None:
        """Wake a waiting transaction, so that it fails."""
        with self._changed:
            transaction.cancelled = True
            self._changed.notify_all()

    def _acquire(self, transaction: Transaction, table: str) -> None:
        with self._changed:
            self._wait(transaction, table, lambda owner: True)
            self._owners[table] = transaction
            transaction.held.add(table)

    def _wait(self, transaction: Transaction, table: str, blocks: Callable[[Transaction], bool]) -> None:
        deadline = time.monotonic() + self._wait_seconds
        with self._changed:
            try:
                while (owner := self._owners.get(table)) is not None and owner is not transaction and blocks(owner):
                    self._waiting[transaction] = table
                    self._refuse_deadlock(transaction)
                    if transaction.cancelled:
                        raise RedshiftError("Query cancelled on user's request")
                    if not self._changed.wait(deadline - time.monotonic()):
                        raise RedshiftError(f"could not lock {table} within {self._wait_seconds:.0f} s")
            finally:
                self._waiting.pop(transaction, None)

    def _refuse_deadlock(self, transaction: Transaction) -> None:
        step = transaction
        while (table := self._waiting.get(step)) is not None and (owner := self._owners.get(table)) is not None:
            if owner is transaction:
                raise RedshiftError(f"deadlock detected waiting for {table}: take locks in one order")
            step = owner
