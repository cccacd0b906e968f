"""The checkpoints that StyleSDF's authors publish, and how they become weights of ours."""
