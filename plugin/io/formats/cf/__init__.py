"""Gridded NetCDF by the CF conventions: one decoder for every reader.

A :class:`~.container.Container` opens a file, a :class:`~.packing.Packing` turns what is stored into
values, :mod:`.axes` finds which dimension is which, and :mod:`.placement` where cells lie.
"""
