"""Convolutions, threads and buffers under the fast paths."""
