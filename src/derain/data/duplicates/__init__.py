"""Pictures that share a background: fingerprints, registration, matches."""
