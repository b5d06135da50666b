"""What is added up tile by tile: information, clusters, samples."""
