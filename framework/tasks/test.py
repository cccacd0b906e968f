"""The verb `test`: metrics of a run, or of saved weights, on the test split."""

from framework.tasks.config import EvaluateOptions
from framework.tasks.evaluate import evaluate


def run(options: EvaluateOptions) -> int:
    """Print and write the test metrics; exit code 0."""
    return evaluate(options, "test")
