"""Files of trained networks that need GDAL or HDF5 to be read."""
