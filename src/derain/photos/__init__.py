"""Files to files: which photos are restored, by which threads, and what is reported."""
