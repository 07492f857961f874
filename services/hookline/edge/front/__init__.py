"""The edge's HTTP front: what stands between a socket and the application.

server        uvicorn, with this front as its protocol
tls           between a socket and its connection, where TLS is spoken
connection    one socket: where its bytes go, and in which order requests are answered
head          one request's head, read so strictly that nobody can read it in another way
body          where a request's body ends
exchange      one request and its answer, as the application sees them
connections   all sockets: how many there may be, and how long each may keep us waiting
refusals      what a sender is told who sent no proper request
descriptors   the open files that so many connections need
"""
