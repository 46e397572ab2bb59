"""Training: one network, several at once, the two rounds, and predictions."""
