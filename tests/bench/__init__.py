"""How fast Hookline is, beside two rulers measured in the same run, on the same server and cores.

In reading order:

    __main__           the command line: `python -m bench`, with `tests` on the path
    runner             the order of the run: rulers and subject take turns
    measures           what is measured, a file each
    figures            what the results must be
    report             the table and build/bench.json
    hookline_service   the subject: edge, relay, and stream_consumer, each a process
    fan_out_service    the same with three subscriptions
    naive              a ruler: the service that a good engineer writes in an afternoon
    pgbench            a ruler: the same two rows per transaction, from C
    loadgen            pre-signed webhooks over 64 connections, in a process of its own
    trivial            a server that does nothing, to measure the load generator
    neighbours         what else runs on this machine meanwhile
    postgres           the one server that all of this runs on
    process            starts, asks and ends processes
"""
