"""How the services speak HTTP: responses, problem documents, OpenAPI, and the server's limits."""
