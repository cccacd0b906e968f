"""The procedural set: objects made by code from a family name and a seed, with exact occupancy and part labels."""
