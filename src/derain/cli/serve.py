"""`derain serve`: an HTTP server on this machine."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from cyclopts import Parameter, validators

from derain.cli.options import DEFAULT_NETWORK, Network
from derain.errors import DerainError

AboveZero = validators.Number(gt=0)


def serve(
    *,
    host: str = "127.0.0.1",
    port: Annotated[int, Parameter(validator=validators.Number(gte=0, lte=65535))] = 8000,
    network: Network = DEFAULT_NETWORK,
    max_upload_mib: Annotated[int, Parameter(validator=AboveZero)] = 64,
    max_megapixels: Annotated[float, Parameter(validator=AboveZero)] = 50.0,
    queue: Annotated[int, Parameter(validator=validators.Number(gte=0))] = 8,
    upload_s: Annotated[float, Parameter(validator=AboveZero)] = 60.0,
    deadline_s: Annotated[float, Parameter(validator=AboveZero)] = 300.0,
    idle_minutes: Annotated[float, Parameter(validator=AboveZero)] = 15.0,
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
    network
        The network. Requests may name another shipped model.
    max_upload_mib
        Largest upload in MiB.
    max_megapixels
        Largest photo, over all its pages or frames; checked before it is decoded.
    queue
        Photos that may wait or be uploaded; further requests get 429.
    upload_s
        Seconds for the upload.
    deadline_s
        Seconds from the complete upload to the answer.
    idle_minutes
        Minutes without a request after which the worker's memory is released.
    token
        Bearer token that requests must carry; better given as the environment variable.
    allow_origin
        Origin whose pages may call this server, such as https://example.org.
    page
        Serve the page for browsers at /.
    """
    from derain.serve.server import run
    from derain.serve.settings import Settings
    from derain.weights import find

    # a line break from a file, which no header can hold
    token = token if token is None else token.strip()
    if token == "":
        raise DerainError("--token: is empty; set DERAIN_TOKEN to a long random text, or unset it")
    find(network.model).require_pictures()  # a wrong name fails here, not in the first request
    options = dict(vars(network))
    settings = Settings(
        model=options.pop("model"),
        network=options,
        max_upload_mib=max_upload_mib,
        max_megapixels=max_megapixels,
        queue=queue,
        upload_s=upload_s,
        deadline_s=deadline_s,
        idle_minutes=idle_minutes,
        token=token,
        allow_origin=None if allow_origin is None else _origin(allow_origin),
        has_page=page,
    )
    run(settings, host=host, port=port)


def _origin(text: str) -> str:
    """Return an origin as browsers send it. Raises DerainError for anything else.

    Pages of extensions and apps have schemes of their own, and pages of files the origin `null`.
    """
    if text == "null":
        return text
    try:
        address = urlsplit(text.strip().lower())
    except ValueError:  # brackets without an IPv6 address
        address = urlsplit("")
    is_site = address.scheme and address.netloc and "@" not in address.netloc
    if not is_site or address.path not in {"", "/"} or address.query or address.fragment:
        raise DerainError(
            f"--allow-origin {text}: is not an origin; "
            "give scheme and host of one site, such as https://example.org"
        )
    usual_port = {"http": ":80", "https": ":443"}.get(address.scheme, "")
    return f"{address.scheme}://{address.netloc.removesuffix(usual_port)}"
