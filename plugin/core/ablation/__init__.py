"""What a prediction loses without a channel or a sensor."""
