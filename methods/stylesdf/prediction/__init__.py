"""Predictions with StyleSDF: what their stages can be told."""
