"""Configuration: Hydra composition at the edge, typed dataclasses behind it, and the generated option reference."""
