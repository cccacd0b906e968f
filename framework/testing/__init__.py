"""Tiny parts and the checks that every system, stage, renderer and plug-in must pass."""
