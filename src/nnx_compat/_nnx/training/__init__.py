"""What trains and measures a model: optimizers, averages, metrics."""
