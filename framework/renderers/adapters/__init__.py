"""Rasterizers of other libraries behind our contract; each is imported only when it is chosen.

The user builds these libraries: what the package index has under their names is something else, or nothing.
"""
