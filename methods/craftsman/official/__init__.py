"""The published checkpoints of CraftsMan's first generation: their names, their config files, their variants."""
