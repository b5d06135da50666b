"""The relevance of every input pixel, by twelve methods."""
