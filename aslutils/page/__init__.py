"""The browser page that reads the hand before the camera: its JavaScript modules in `site/`, and what writes and serves them."""
