"""Data for training and evaluation: pairs in published layouts, crops, and checks of data sets."""
