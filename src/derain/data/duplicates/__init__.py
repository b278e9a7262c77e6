"""Detection of pictures that show the same background."""
