"""How each kind of layer is taken backwards and forwards: rules, activations, conservation."""
