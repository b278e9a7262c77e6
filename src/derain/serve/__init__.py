"""Photos over HTTP and in the browser; the server needs the extra `serve`. Imports no torch."""
