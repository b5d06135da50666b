"""What a network is: contract, card, package, weights, architectures. Trained packages lie in models/."""
