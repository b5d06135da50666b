"""Whether the network relies on what a map marks: deletion and insertion of blocks."""
