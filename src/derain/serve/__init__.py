"""An HTTP server that restores photos. Needs the extra `serve`; imports no torch."""
