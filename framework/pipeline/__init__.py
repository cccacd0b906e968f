"""Inference: stages, the pipeline that runs them case by case, and the folder of a case."""
