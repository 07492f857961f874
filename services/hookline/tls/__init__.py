"""Certificates that we show to who calls us: read from files, and read again when those change.

files         PEM files, and what is wrong with them
pair          a certificate with its key, judged before anybody sees it
certificates  the pair of one listener, as its files say now
"""
