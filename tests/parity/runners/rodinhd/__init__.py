"""Runners of RodinHD's fixtures."""
