"""What all services share: capacity, hours, names, events and errors; PostgreSQL, NATS and HTTP."""
