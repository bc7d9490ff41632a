"""All services on this machine, with their servers and one address: `hourbook up`."""
