"""An exported model reads: landmark files, videos, the competition's scorer. Needs neither torch nor TensorFlow."""
