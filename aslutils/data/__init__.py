"""From landmark files to batches: sources, the landmark store, folds, augmentations."""
