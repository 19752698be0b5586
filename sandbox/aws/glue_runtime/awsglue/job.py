"""Stand-in for awsglue.job: there are no bookmarks, so a job only starts and commits."""

from typing import Any


class Job:
    """A Glue job as its script sees it."""

    def __init__(self, glue_context: Any) -> None:
        self.glue_context = glue_context

    def init(self, job_name: str, args: dict[str, str] | None = None) -> None:
        """Begin the job; bookmarks would be read here."""

    def commit(self) -> None:
        """End the job; bookmarks would be written here."""
