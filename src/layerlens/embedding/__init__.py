"""From activations to pictures that can be compared."""
