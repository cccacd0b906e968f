"""Runners of PSHuman's fixtures."""
