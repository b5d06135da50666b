"""The bundled model packages: trained, documented, given a reference, compared with simpler models."""
