"""The Hugging Face Hub: its client, dataset cards, and releases."""
