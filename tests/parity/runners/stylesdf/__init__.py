"""Runners of StyleSDF's fixtures."""
