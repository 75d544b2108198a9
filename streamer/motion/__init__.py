"""The gate before inference: whether anything moves. Runs on the capture thread."""
