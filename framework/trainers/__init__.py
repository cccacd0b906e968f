"""Lightning's Trainer built from a config, its callbacks and loggers, and the run folder."""
