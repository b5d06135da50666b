"""What a network is: card, registry, architectures and trained packages."""
