"""How each kind of layer is explained, backwards and forwards: rules, activations, conservation."""
