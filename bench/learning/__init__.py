"""Learning: in simulated worlds beside other methods, and over HTTP through real replicas."""
