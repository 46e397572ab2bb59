"""What the competition defines: the 130 landmarks, the characters, the metric, the preprocessing of one sequence."""
