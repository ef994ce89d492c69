"""The proxy: HTTP surfaces, the request path, upstreams, settings and the command line. It composes the other three."""
