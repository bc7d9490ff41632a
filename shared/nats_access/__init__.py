"""Who may do what on NATS: the users, their permissions, and the server's configuration that is made of them."""
