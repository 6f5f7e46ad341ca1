"""The retrievers, and how they read pools."""
