"""Runners of CraftsMan's fixtures."""
