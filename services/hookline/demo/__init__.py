"""`hookline demo`: the whole path, played and checked in front of your eyes.

play        starts Hookline, a provider and two consumers, and lets them meet
stack       the running Hookline: a real `hookline run` on free ports
journal     what happened to each webhook, hop by hop
table       a row per webhook, printed when its last hop is done
ledger      whether it all adds up
"""
