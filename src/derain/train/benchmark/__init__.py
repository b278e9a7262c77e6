"""The speed of training steps on this machine."""
