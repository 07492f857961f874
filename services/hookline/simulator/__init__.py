"""The provider's side of the wire, played here: it sends what Begini would send, mistakes included.

In reading order:

- `journeys`: what applicants make Begini send; pure and seeded
- `signature`: how a body is signed, and how a forger gets it wrong
- `plan`: every webhook of a run, in order: new, repeated, revised and forged ones
- `reply`: one HTTP request, and what came back
- `patience`: how long a provider waits before it tries again, and when it gives up
- `pace`: how many webhooks a second are begun
- `provider`: plays a plan against an endpoint
- `answer`: how one webhook ended, after however many attempts
- `differences`: where an ending isn't what the webhook's kind demands, in words
- `tally`: the counts of a run

Begini can't be asked to send at will, so this stands in for it: in `hookline send begini`, in demonstrations
and in tests. The facts about Begini come from its public help centre (pages of April 2026). What isn't
published there, such as retry counts and the shape of flags, is made up here, and said so where it is.
"""
