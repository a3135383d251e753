"""HTTP and WebSocket: parse and authenticate requests, call the rooms behind them, and send responses.

chatkit.py        `POST /chatkit`; protocol.py parses its body, queries.py answers the operations that do not stream
attach.py         re-attach to a turn: the `turn.attach` action, and `GET /api/turns/{id}/events`
stop.py           stop a turn, or what runs on a thread
messages.py       plain messages: `POST /api/message`, `POST /api/stream/message`
websocket.py      the same over a WebSocket
poll.py           `GET /api/turns/{id}`
attachments.py    uploads and downloads
entities.py       mentions
options.py        the options of the widget
page.py           the built page
health.py         liveness, readiness, and the model that answers
event_stream.py   responses that stream ChatKit events
token_responses.py  responses with plain tokens, or the whole answer
error_responses.py  errors as JSON
edge.py           what is done to every request and response: the next five in their order, and direct_route.py
trusted_proxies.py  who is at the other end of a connection
request_id.py     the id of every request
request_limits.py the limits of addresses and cookies
origin.py         refuses requests from pages of other sites
security_headers.py  the headers of every response
direct_route.py   `POST /chatkit` past FastAPI's routing
telemetry.py      whether FastAPI's telemetry is on
limits.py         the limits of what clients send
linked.py         replaces file references by signed URLs in any response
"""
