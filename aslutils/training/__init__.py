"""Training: one network, several at once, the two rounds, and what a network reads."""
