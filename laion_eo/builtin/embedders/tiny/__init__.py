"""A small joint image-text embedder that needs no download: frozen backbones, trained heads."""
