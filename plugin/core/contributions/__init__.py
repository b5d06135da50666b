"""The logit of every output pixel, split over channels."""
