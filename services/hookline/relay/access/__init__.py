"""Who may call a relay, as `[relay] access` says. The rooms, in reading order.

    gate        every call comes through here: who is it, and may it?
    methods     which roles may call what
    caller      what is asked again while a call goes on: may it still consume this subscription?
    live        the tokens as the database has them, kept true while the relay serves
    refusals    how many were turned away, in the log now and then
    exposure    the warning of a relay that anybody can call

What a token is: `core.access_token`. Where it is kept: `store.access_tokens`.
"""
