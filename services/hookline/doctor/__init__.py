"""`hookline doctor`: does a deployment have what it needs, and if not, what is to be done?

finding         what one look has found: fine, a warning or a problem, and how to mend it
examination     all looks side by side, each with a deadline
database        the looks that share one connection to the database:
server          the server's version, settings and sizes
connections     are there enough connections for all edges and relays?
clock           does the database's clock agree with ours?
schema          migrations, shards and segments
rights          may our role do what edge, relay and operators do?
stored_secrets  do the stored secrets open?
sources         schemes and JSON schemas
secrets         the secrets that hookline.toml names
certificates    can the certificates of [edge.tls] and [relay.tls] be used, and for how long?
collector       does the OTLP endpoint take what is sent?
ports           are our addresses free, or held by Hookline itself?

A look is a question, then a judgement that is a plain function of the answer. No finding holds a secret, nor a password
of a URL.
"""
