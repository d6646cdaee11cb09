"""From a model and its batches to activations."""
