"""`derain serve`: an HTTP server on this machine."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter, validators

from derain.weights import DEFAULT

Positive = validators.Number(gt=0)


def serve(
    *,
    host: str = "127.0.0.1",
    port: Annotated[int, Parameter(validator=validators.Number(gte=0, lte=65535))] = 8000,
    model: Annotated[str, Parameter(name=["--model", "-m"])] = DEFAULT,
    engine: Literal["openvino", "onnxruntime"] | None = None,
    device: str = "cpu",
    threads: Annotated[int | None, Parameter(validator=Positive)] = None,
    limit_mib: Annotated[int | None, Parameter(validator=Positive)] = None,
    max_upload_mib: Annotated[int, Parameter(validator=Positive)] = 64,
    max_megapixels: Annotated[float, Parameter(validator=Positive)] = 50.0,
    queue: Annotated[int, Parameter(validator=validators.Number(gte=0))] = 8,
    deadline_s: Annotated[float, Parameter(validator=Positive)] = 300.0,
    idle_minutes: Annotated[float, Parameter(validator=Positive)] = 15.0,
    token: Annotated[str | None, Parameter(env_var="DERAIN_TOKEN")] = None,
    allow_origin: str | None = None,
    page: bool = True,
) -> None:
    """Serve photos over HTTP until Ctrl-C or SIGTERM. Needs the extra `serve`.

    Parameters
    ----------
    host
        Address to bind. The default is reachable from this machine alone.
    port
        Port to bind; 0 picks a free one.
    model
        Model of requests that name none: a name (see `derain info`) or the path of a weights file.
    engine
        Engine that runs the network.
    device
        Device that runs the network.
    threads
        CPU threads of the network.
    limit_mib
        Memory for the network in MiB.
    max_upload_mib
        Largest upload in MiB.
    max_megapixels
        Largest photo, over all its pages or frames; checked before it is decoded.
    queue
        Photos that may wait; further requests get 429.
    deadline_s
        Seconds from the complete upload to the answer.
    idle_minutes
        Minutes without a request after which the worker's memory is released.
    token
        Bearer token that requests must carry; better given as the environment variable.
    allow_origin
        Origin whose pages may call this server.
    page
        Serve the page for browsers at /.
    """
    from derain.errors import DerainError
    from derain.serve.server import run
    from derain.serve.settings import Settings
    from derain.weights import find

    if token is not None and not token.strip():
        raise DerainError("--token: is empty; set DERAIN_TOKEN to a long random text, or unset it")
    find(model)  # a wrong name fails here, not in the first request
    network = {"engine": engine, "device": device, "threads": threads, "limit_mib": limit_mib}
    settings = Settings(
        model=model,
        network=dict(network),
        max_upload_mib=max_upload_mib,
        max_megapixels=max_megapixels,
        queue=queue,
        deadline_s=deadline_s,
        idle_minutes=idle_minutes,
        token=token,
        allow_origin=allow_origin,
        has_page=page,
    )
    run(settings, host=host, port=port)
