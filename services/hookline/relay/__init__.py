"""The gRPC side: reads the log, hands events to consumers, and moves cursors as they settle them."""
