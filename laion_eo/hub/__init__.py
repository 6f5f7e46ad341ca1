"""Everything that talks to the Hugging Face Hub, and the cards that it shows."""
