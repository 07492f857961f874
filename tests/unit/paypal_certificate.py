"""A made-up certificate for tests of PayPal's signature, made with `cryptography`, signed with by OpenSSL's command."""

PEM = b"""\
-----BEGIN CERTIFICATE-----
MIICtzCCAZ+gAwIBAgIBBzANBgkqhkiG9w0BAQsFADAfMR0wGwYDVQQDDBR3ZWJo
b29rcy5leGFtcGxlLmNvbTAeFw0yNjAxMDEwMDAwMDBaFw0yODAxMDEwMDAwMDBa
MB8xHTAbBgNVBAMMFHdlYmhvb2tzLmV4YW1wbGUuY29tMIIBIjANBgkqhkiG9w0B
AQEFAAOCAQ8AMIIBCgKCAQEAyDrwhb63lSWGy01vimZ41R0NqhVnjz4m6VSGBIYH
vWC5dn3m/riRM2OqX0I2Vd++VBr+AOMFnS0pZI7yWO1adEp/cisB4SXiCe8v1Pxk
sFjJu3drYKmnmAUjqr+D9QsdvMjPkzfiX3uFgzaXXrgCm8ram5XCyF+tSN+jHSqN
dOzSikc8nnKZisBZD7OiyMcSAeS2qOXjDrcrrRz/zxHo5koo/npi+89l9Og2YQ0t
VJqpJ8P3VBY7SnTAJr6ogv97EP00Hq5I870MJN4sfj0e3Ec+eXySKmfqlyHCx5Gk
4lDUjvfZJiqYSIJHTt8lXCuZnnliMn2fbgitikfRDTMPcQIDAQABMA0GCSqGSIb3
DQEBCwUAA4IBAQDHPsl7DJVhUZ1+hAaRpfgPTuhHsW/SDaBkogXrGXr1hwm2MxUo
NeMm5xQq8B1eWkaGb1bB8aFVPnSeSKPDWmFSZXyAzxfz7/fO5UmHdbed5OCO8Zi0
Ctzmt2w17MHMR+pQUPNQ8/oBuytXCHWKlwFeZsCG+cW7jvmsFDpjdagPUt/apJje
ym2/deDWuvPsOMCTbpuiyFvB3D1h31F1oLmT3b24ESPugqAuczZ0+tj1ohyJT/DH
EkKeQ7UWmajmxNqrAf34R2dNCgJmTUWEvoRkRQJHWg/gA3Acy1m9z2z+zhZ5Gxjz
VB4ar3Hm3qRgOtAC1WdFkn3tCcRGDeKMGGrz
-----END CERTIFICATE-----
"""
"""For an RSA key of 2048 bits, valid for 2026 and 2027."""
WEBHOOK_ID = "9XL90610J3647323C"
TRANSMISSION_ID = b"d938e770-8046-11e6-8103-6b62a8a99ac4"
TRANSMISSION_TIME = b"2026-09-21T14:13:20Z"
BODY = '{"id":"WH-1","event_type":"PAYMENT.SALE.COMPLETED","note":"blåbær"}'.encode()
SIGNATURE = (
    b"STYoThHDU6ds+ScP7AMEqQao80NCYkZMyjwbqplQYtKrAVMudx+yGVfm5uqNyzlBL79sA73GqKBbpV7ugXR2l+4FWnKUr1Ep"
    b"FnzBEk6R5wpNeRuZyTm9//mVJkf4AckUUA0Db/WQlG7nzLQ/wRXfGsbeSGm1w4+qSPYbIG+uLKMv4+5V08YZnhR83/FNa4qz"
    b"zk/0SQ/DulaDdCZKB6B+IJYBZcVtOSQGk3pvwbEHbdLDWC+eAF5Vs1xLzB0sXXLUXeTU4eVNT5YThMfwPWKXMZ9YOxP0rEP1"
    b"YFsq8OgFY8IPTlOXghjBA2LvXpcUI1XVrJnlpzFu3J0YmzWx6aTjnw=="
)
"""By `openssl dgst -sha256 -sign`, of what paypalrestsdk 1.13.3 (PyPI) says is signed."""
