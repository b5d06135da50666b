"""A scene of any size through a network: tiles, memory, overlap of reading, computing and writing."""
