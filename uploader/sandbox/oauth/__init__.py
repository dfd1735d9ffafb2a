"""The provider of both ways to sign in: OAuth 2 for today's API, OAuth 1 for the first one."""
