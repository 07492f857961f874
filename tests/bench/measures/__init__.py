"""The measures, each with its own way to load a service and to read the result.

headroom    how much more load the generator could make
ingest      webhooks answered with 200 per second
path        webhooks per second from HTTP to the confirmed ack; also deliveries to three subscriptions
latency     from sending the request to the consumer holding the event, at a fixed rate
backlog     deliveries per second when the log is full of waiting events
ledger      ingest with millions of rows in the ledger over ingest with none
ordered     deliveries of free keys beside many events of stuck keys over deliveries without them
snapshot    the path while a foreign transaction holds a snapshot over the path without
redelivery  seconds until what a killed relay had handed out is handed out again
"""
