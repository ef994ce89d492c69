"""What happened, as numbers: outcomes, signals, rewards, the Redis store and the Prometheus instruments."""
