"""Cameras, meshes and fields: convention-bearing types and the algorithms on them, without networks or files."""
