"""The parts of a report: page, pictures, tables."""
