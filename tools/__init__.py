"""What the Makefile and the tests run around the plugin; it does not ship."""
