"""What the kit needs of the machine and its user: files, processes, progress bars, parameters."""
