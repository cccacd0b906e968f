"""Sweeps (`-m`): one process per job from options that were resolved beforehand, then a table and a report."""
