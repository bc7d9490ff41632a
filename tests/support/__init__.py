"""What the tests share: servers, services as processes, histories, oracles."""
