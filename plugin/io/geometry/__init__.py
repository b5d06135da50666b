"""Where pixels lie: grids, tie points, sampling, polygons, zones, coasts."""
