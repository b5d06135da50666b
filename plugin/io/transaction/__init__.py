"""Results that replace older ones all together, and what is protected from them."""
