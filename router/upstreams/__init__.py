"""Upstreams: who answers. One module a kind, behind one small seam."""
