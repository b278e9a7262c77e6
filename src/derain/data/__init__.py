"""Pictures to learn from and to measure with: pairs of every published layout, crops, rain layers, and checks of a download."""
