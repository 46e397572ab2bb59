"""A run: its folder, the outputs of earlier sessions, its data, its stages and its report."""
