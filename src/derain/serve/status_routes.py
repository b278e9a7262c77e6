"""The addresses that tell about the server: models, health, readiness, metrics."""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from derain.serve.guards import authorise
from derain.serve.interface import PROBLEMS
from derain.serve.pool import Pool
from derain.serve.problems import problem_response
from derain.weights import picture_models

LOADING = {"description": "The network is being loaded, or the queue is full."}
METRICS_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"content": {CONTENT_TYPE_LATEST: {"schema": {"type": "string"}}}},
    401: PROBLEMS[401],
}
router = APIRouter()


@router.get("/v1/models", dependencies=[Depends(authorise)], responses={401: PROBLEMS[401]})
async def list_models(request: Request) -> dict[str, Any]:
    """List the models with their cards."""
    listed = {name: {"card": model.card} for name, model in picture_models().items()}
    return {"default": Path(request.app.state.pool.settings.model).stem, "models": listed}


@router.get("/health")
async def health() -> dict[str, str]:
    """Return 200 while the server is alive."""
    return {"status": "alive"}


@router.get("/ready", responses={503: PROBLEMS[503] | LOADING})
async def ready(request: Request) -> Response:
    """Return 200 if a photo would be accepted now."""
    pool: Pool = request.app.state.pool
    if pool.broken:
        return problem_response(HTTPStatus.SERVICE_UNAVAILABLE, pool.broken)
    if not pool.has_room:
        return problem_response(HTTPStatus.SERVICE_UNAVAILABLE, "the queue is full")
    if pool.worker_pid is not None and not pool.is_ready:
        return problem_response(HTTPStatus.SERVICE_UNAVAILABLE, "the network is being loaded")
    return JSONResponse({"status": "ready"})


@router.get(
    "/metrics",
    dependencies=[Depends(authorise)],
    response_class=PlainTextResponse,
    responses=METRICS_RESPONSES,
)
async def prometheus(request: Request) -> PlainTextResponse:
    """Return the metrics for Prometheus."""
    text = generate_latest(request.app.state.metrics.registry)
    return PlainTextResponse(text, media_type=CONTENT_TYPE_LATEST)
