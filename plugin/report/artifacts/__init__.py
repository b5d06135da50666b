"""The report of fact or artifact."""
