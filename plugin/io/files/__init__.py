"""Files as they are opened: drivers, virtual rasters, masks, remote sources."""
