"""How the demonstration networks are trained, and their skill measured."""
