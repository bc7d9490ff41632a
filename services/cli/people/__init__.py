"""The command line for people: what is free, and their bookings. It uses the HTTP interface alone."""
