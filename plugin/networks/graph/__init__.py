"""Networks given as plain data: a list of layers, from which a module is built."""
