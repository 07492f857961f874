"""A consuming service as yours might look, in both ways of consuming, and a demonstration that checks what it did.

stream      connects to the relays and is sent the events of `crm`
push        is called by the relays with the events of `decisioning`
decisions   what both do with an event: an effect in a database of their own, once
alive       whether one of them works, for Docker's health check
demo        plays applicants' journeys through a running stack, and checks the account
account     whether all of it arrived: the provider's answers, Hookline's ledger, the consumers' databases
"""
