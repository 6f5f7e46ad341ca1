"""The published dataset: its card, its files, its builder, its release."""
