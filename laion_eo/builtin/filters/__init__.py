"""The filters: what is kept, and why the rest is not; and how near-duplicates are found."""
