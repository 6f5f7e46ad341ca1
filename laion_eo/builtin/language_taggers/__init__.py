"""The language taggers."""
