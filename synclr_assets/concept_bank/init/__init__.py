"""Banks to begin with: the paper's, or one from a list of names. Writes a whole folder or nothing."""
