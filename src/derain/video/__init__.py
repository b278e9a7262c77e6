"""Clips, numbered frames and pipes: every frame restored, everything else as it was. Needs the extra `video`; has no torch."""
