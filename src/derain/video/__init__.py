"""Clips, numbered frames and pipes. Needs the extra `video`; torch is not imported."""
