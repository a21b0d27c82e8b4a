"""Looking inside a trained policy: what its modalities say, what counts, what each is worth, and where it looks."""
