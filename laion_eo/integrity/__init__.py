"""Proof that a run, a dataset or a pool is what its records say, asked for before a release."""
