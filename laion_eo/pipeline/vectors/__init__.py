"""The embeddings of a run: which there are, how they are kept, and who is shown them."""
