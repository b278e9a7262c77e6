"""The command line: one file for each verb, and no logic in them."""
