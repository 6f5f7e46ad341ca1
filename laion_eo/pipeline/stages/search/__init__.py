"""How the pool is searched: over shards, as deep as is wanted, and in more than one round."""
