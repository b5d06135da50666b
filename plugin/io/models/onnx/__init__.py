"""ONNX files: read without running anything, and turned into graphs whose layers have rules."""
