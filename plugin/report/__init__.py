"""Results for people: HTML, CSV, JSON and QML."""
