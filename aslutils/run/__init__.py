"""A run: where it lives, what earlier sessions left of it, its data, its stages and its report."""
