"""The downloaders."""
