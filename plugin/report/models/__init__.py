"""The page and the README of an imported model."""
