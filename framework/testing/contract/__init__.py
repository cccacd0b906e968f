"""The contract suite: what every method must keep, ours and those of other packages, checked by running it.

`python -m framework.testing <method>` prints a table; `check_method` returns the same for a test.
"""
