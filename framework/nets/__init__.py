"""Network parts that more than one method builds on: attention, point embeddings, image encoders, posteriors."""
