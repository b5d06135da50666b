"""Scenes whose target is a sum of known functions of each channel, and the fusion network trained on them."""
