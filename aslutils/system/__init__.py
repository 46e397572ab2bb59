"""Files, processes, progress bars, parameters and errors."""
