"""Results told to people: HTML, CSV, JSON and QML."""
