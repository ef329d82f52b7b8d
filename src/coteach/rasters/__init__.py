"""Everything that reads or writes rasters; the only importer of rasterio."""
