"""Reports on a batch of photos: JSON and HTML, written as the results arrive."""
