"""Methods and networks judged against known truth: data whose discriminating part is known in advance."""
