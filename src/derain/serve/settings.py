"""What the server offers, and the limits that it enforces."""

from __future__ import annotations

from dataclasses import dataclass, field

from derain.weights import DEFAULT


@dataclass(frozen=True)
class Settings:
    """Choices of the operator; requests cannot exceed them."""

    model: str = DEFAULT
    """Model of a request that names none: a shipped one, or the path of a weights file."""
    network: dict[str, object] = field(default_factory=dict)
    """Further arguments of `Restorer`: engine, device, threads, limit_mib ..."""
    max_upload_mib: int = 64
    """Size of a request's body."""
    max_megapixels: float = 50.0
    """Size of a photo, over all its frames or pages; checked before it is decoded."""
    queue: int = 8
    """Requests that may wait or upload beside the running one. Further ones get 429."""
    deadline_s: float = 300.0
    """Time from the complete upload to the answer. A later answer becomes 503."""
    upload_s: float = 60.0
    """Time for the upload. A slower one is rejected with 408."""
    idle_minutes: float = 15.0
    """Time without a request after which the worker process ends, and its memory is free again."""
    token: str | None = None
    """Bearer token that every request must carry, apart from /health."""
    allow_origin: str | None = None
    """Origin whose pages may call the server; none by default."""
    has_page: bool = True
    """Whether the page for browsers is served at /."""

    @property
    def max_upload_bytes(self) -> int:
        """`max_upload_mib` in bytes."""
        return self.max_upload_mib * 2**20
