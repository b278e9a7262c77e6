"""What became of a command line, counted once for the terminal, the JSON and the page."""

from __future__ import annotations

from dataclasses import dataclass

from derain.photos.batch import BatchResult
from derain.photos.jobs import JobList


@dataclass(frozen=True)
class Summary:
    """Each field is a field of the JSON, too."""

    restored: int
    failed: int
    """Pictures that could not be restored, and inputs that were not begun."""
    already_there: int
    without_rain: int
    """Those of them that have no rain layer, where one is wanted."""
    not_pictures: int
    links_outside: int
    of_other_shards: int
    results: int
    """Pictures that were taken for results of an earlier run, by their names."""
    left: int
    """Pictures that an interruption left to be done."""
    megapixels: float
    seconds: float
    interrupted: bool

    def __str__(self) -> str:
        facts = [f"{self.restored} restored"]
        if self.restored:
            facts[0] += (
                f" in {self.seconds:.1f} s ({self.megapixels / max(self.seconds, 1e-3):.3g} megapixels a second)"
            )
        facts += [f"{self.failed} failed"] if self.failed else []
        facts += [f"{self.already_there} already there"] if self.already_there else []
        facts += (
            [f"{self.without_rain} of them without the rain layer, which --overwrite makes"]
            if self.without_rain
            else []
        )
        facts += [f"{self.not_pictures} not pictures"] if self.not_pictures else []
        facts += (
            [f"{self.links_outside} links that lead elsewhere left alone"]
            if self.links_outside
            else []
        )
        facts += [f"{self.of_other_shards} of other shards"] if self.of_other_shards else []
        facts += (
            [f"{self.results} left alone that are called as results are"] if self.results else []
        )
        facts += [f"interrupted with {self.left} to go"] if self.interrupted else []
        return ", ".join(facts)


def summarise(errands: JobList, outcome: BatchResult) -> Summary:
    """Count what a batch did of what it was asked for."""
    return Summary(
        restored=outcome.restored,
        failed=len(errands.problems) + len(outcome.problems),
        already_there=len(errands.already_there) + len(outcome.already_there),
        without_rain=errands.without_rain,
        not_pictures=errands.not_pictures,
        links_outside=errands.links_outside,
        of_other_shards=errands.of_other_shards,
        results=errands.results,
        left=len(errands.todo)
        - outcome.restored
        - len(outcome.problems)
        - len(outcome.already_there),
        megapixels=round(outcome.megapixels, 6),
        seconds=round(outcome.seconds, 3),
        interrupted=outcome.was_interrupted,
    )
