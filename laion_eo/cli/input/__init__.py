"""What several commands take in: options, and answers of whoever sits at the terminal."""
