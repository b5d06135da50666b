"""Integrated feature analysis: what the features of a layer add to a logit, sample by sample and as a map."""
