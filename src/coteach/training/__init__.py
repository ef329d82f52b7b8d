"""The only importer of Lightning: runs any Method."""
