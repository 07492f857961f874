"""How each provider signs its webhooks, names its events and wants to be answered.

scheme        all of it for one source, out of a declaration (hookline.config.scheme) and live secrets
signature     one kind of signature: template, encodings, keys, clock
event_keys    dedup key, type and ordering key: places, json_places
handshake     how a provider makes sure that an endpoint is ours
plugin        verification by code, where it can't be declared
"""
