"""A scene as the network reads it: channels, units, ranges, what is missing, what is unusual."""
