"""Data sets: shape samples and views on disk or made from a seed, and the tools that prepare them."""
