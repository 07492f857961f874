"""gRPC services for operators and programs: subscriptions, dead letters, replays."""
