"""The job of the additive benchmark: one course for every generator, and what each of them is made of."""
