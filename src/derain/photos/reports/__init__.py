"""JSON and HTML reports of a batch of photos, written during the batch."""
