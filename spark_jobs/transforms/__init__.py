"""Pure DataFrame → DataFrame: no path, no session, no setting read from outside."""
