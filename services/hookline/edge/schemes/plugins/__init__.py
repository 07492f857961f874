"""Providers whose signature needs code: each file is one, named after its preset.

    twilio           a URL and the sorted fields of a form, or the hash of a body
    hubspot          method, URL, body and timestamp, the URL partly decoded
    adyen            a signature in each item of a JSON body, over eight of its fields
    mailgun          a signature in a JSON body, over a timestamp and a token
    paypal           RSA over ids and a checksum, with a certificate that is given offline
    live_keys        every secret of a source as a key
    plain_json       JSON that every reader understands the same way
    settings         what a source may say to its plug-in
    window           how far a signed time may be from ours

docs/writing-a-plugin.md says how a package offers its own.
"""
