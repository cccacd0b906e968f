"""The error of values that can't be an artifact, and of artifact files that can't be read."""


class ArtifactError(ValueError):
    """A value has the wrong shape or range for its artifact type, or its file is missing or damaged."""
