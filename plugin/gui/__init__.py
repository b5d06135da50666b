"""The few widgets, imported only when a dialog needs them."""
