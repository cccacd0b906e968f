"""Runners of StdGEN's fixtures."""
