"""What would have become of pictures of the domain, had they been in the pool: the seeds.

Each seed goes the way of a pool's row, by itself: it is found where it is at least as near to an
anchor as the last neighbour that this anchor found; it is scored by the run's scorers, and judged
by its filters, as they were fitted to the run. A search that goes on after the first k neighbours
is done again, with all seeds among the pool's rows. No table of the run changes, so that no seed
can reach the dataset. What a seed does not have, an address and a caption, cannot lose it.
"""
