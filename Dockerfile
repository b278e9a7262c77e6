# The server of docs/serve.md. Build: docker build -t derain .
FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY src ./src
RUN python -m venv /opt/derain && /opt/derain/bin/pip install --no-cache-dir '.[serve,heif]'

FROM python:3.13-slim
RUN useradd --system --no-create-home derain
COPY --from=build /opt/derain /opt/derain
USER derain
ENV PYTHONDONTWRITEBYTECODE=1
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s CMD ["/opt/derain/bin/python", "-c", \
  "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health', timeout=4)"]
ENTRYPOINT ["/opt/derain/bin/derain", "serve", "--host", "0.0.0.0"]
