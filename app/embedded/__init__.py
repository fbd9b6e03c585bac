"""PostgreSQL and Valkey from wheels, and the supervisor behind `teknav up`."""
