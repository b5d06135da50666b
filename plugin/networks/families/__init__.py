"""Published families of sea-ice networks: their weights read, recognised by names and shapes, and described."""
