"""Files to files: finds photos, restores them in threads and reports the results."""
