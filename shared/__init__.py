"""What the three services all speak: capacity, hours, events, and the connections under them."""
