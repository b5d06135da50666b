"""A check of HDF5 files before their library reads them: damage there would end the process."""
