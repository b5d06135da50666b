"""Stamps: small known changes of SAR and radiometer images, and whether relevance lies on them."""
