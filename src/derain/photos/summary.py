"""Counts of a run, the same on the terminal, in the JSON report and in the HTML report."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from derain.photos.jobs import JobList
from derain.photos.worker import PhotoResult


@dataclass
class Summary:
    """Counts of a run; `add_result` and `add_existing` update them during the batch."""

    restored: int = 0
    problems: list[tuple[Path, str]] = field(default_factory=list)
    """Inputs without a result, a sentence each."""
    existing: int = 0
    missing_rain_layers: int = 0
    other_files: int = 0
    external_links: int = 0
    other_shards: int = 0
    earlier_results: int = 0
    remaining: int = 0
    """Pending jobs without a result."""
    megapixels: float = 0.0
    seconds: float = 0.0
    was_interrupted: bool = False

    @classmethod
    def from_jobs(cls, jobs: JobList) -> Summary:
        """Return the counts before the first job is run. See `JobList` for the fields."""
        return cls(
            problems=list(jobs.problems),
            existing=len(jobs.existing),
            missing_rain_layers=jobs.missing_rain_layers,
            other_files=jobs.other_files,
            external_links=jobs.external_links,
            other_shards=jobs.other_shards,
            earlier_results=jobs.earlier_results,
            remaining=len(jobs.pending),
        )

    @property
    def failed(self) -> int:
        """Number of inputs without a result."""
        return len(self.problems)

    def add_result(self, result: PhotoResult) -> None:
        """Count one job, restored or failed."""
        self.remaining -= 1
        if result.error is None:
            self.restored += 1
            self.megapixels += result.megapixels
        else:
            self.problems.append((result.source, result.error))

    def add_existing(self) -> None:
        """Count a job whose target appeared after the jobs were listed."""
        self.remaining -= 1
        self.existing += 1

    def as_dict(self) -> dict[str, Any]:
        """Return the `summary` object of the JSON report."""
        return {
            "restored": self.restored,
            "failed": self.failed,
            "already_there": self.existing,
            "without_rain": self.missing_rain_layers,
            "not_pictures": self.other_files,
            "links_outside": self.external_links,
            "of_other_shards": self.other_shards,
            "results": self.earlier_results,
            "left": self.remaining,
            "megapixels": round(self.megapixels, 6),
            "seconds": round(self.seconds, 3),
            "interrupted": self.was_interrupted,
        }

    def __str__(self) -> str:
        rate = self.megapixels / max(self.seconds, 1e-3)
        speed = f" in {self.seconds:.1f} s ({rate:.3g} megapixels/s)" if self.restored else ""
        counts = {
            "failed": self.failed,
            "skipped (result exists)": self.existing,
            "of them without a rain layer (--overwrite creates it)": self.missing_rain_layers,
            "skipped (result of an earlier run)": self.earlier_results,
            "skipped (not a picture)": self.other_files,
            "skipped (link to another folder)": self.external_links,
            "skipped (in another shard)": self.other_shards,
        }
        parts = [f"{self.restored} restored{speed}"]
        parts += [f"{count} {label}" for label, count in counts.items() if count]
        if self.was_interrupted:
            parts.append(f"interrupted with {self.remaining} remaining")
        return ", ".join(parts)
