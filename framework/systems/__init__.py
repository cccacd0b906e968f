"""The base class of everything that trains, and its optimisers and learning-rate schedules."""
