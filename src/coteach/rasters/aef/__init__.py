"""AlphaEarth embeddings from where they are published: only the part of each file that a tile needs.

``requests`` reads the tables; ``index`` and ``cells`` find what a tile needs in a Parquet file, here or on the web;
``cogs`` and ``crop`` cut it out of Cloud-Optimised GeoTIFFs; ``download`` does all tiles, several at once.
"""
