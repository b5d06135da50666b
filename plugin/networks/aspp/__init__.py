"""The architecture of Malmgren-Hansen et al. with pools and dilated convolutions at four scales."""
