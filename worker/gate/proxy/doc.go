// Package proxy passes HTTP requests on to the members that a [gate.Picker] picks. It is an [http.Handler] for the server of a worker.
//
//	client ──▶ net/http's server ──▶ Proxy.ServeHTTP ──▶ Pick ──▶ connection to the member ──▶ answer ──▶ Done
//	                                      ▲                │ it failed, and the request may be sent again
//	                                      └────────────────┘ to a member that was not tried
//
// Nothing is copied from one side to the other as bytes, but bodies: what is sent on is written anew from what was parsed. So a
// request that two servers would read differently is read once, here.
//
// # When a request is sent again
//
//	the connection was refused, or not made in time       always: nothing has reached the member
//	it ended before the first byte of the answer          GET, HEAD, OPTIONS, TRACE, PUT and DELETE: the member may have begun
//	the member answered a status of Options.RetryStatus   the same methods
//
// Of a worker of this host it is known whether a request has begun (package ipc/tickets):
//
//	its worker has died, or has no use for it, and it has not begun    always, also to the slot's next worker
//	not begun after 10 ms, and another worker runs and has fewer       always: it is withdrawn where it waits; at most a tenth of all
//	                                                                   requests, and not where a key or the request names the member
//	it has begun                                                       as above
//
// Up to 64 KiB of its body are kept for that.
//
// Where a member asks for it with the header Tine-Replay, and Options.Replay hears it, the request goes to another one, or to members of
// another type, at most three times: see [Replay].
//
// A request that a member has for longer than Options.AnswerTimeout is not sent again. Any other is sent again only while no byte of its
// body has been read from the client that is not kept (Options.KeepBody), and none of the answer, but interim ones, has been sent to it. It never goes to a member that was
// tried. Where it has reached one, at most a fifth of all requests and 10 more a second are sent again (see budget). What remains is
// answered with 502, 503 (no member is ready, or all are full) or 504 (no answer in time), in one line that says what happened.
//
// # When a request waits
//
// Where Options.Queue or Choice.Queue is set, a request that finds all members full, or none ready of those that there are, waits there (see
// package queue), and so does each that comes while others wait. One that is sent again comes before new ones. It goes on when its place is
// free, with 503 when its wait is over, and not at all when its client has gone. A short body is read meanwhile, as only then the server of
// HTTP/1 sees a client go. Without any member, or where all were tried, nothing is waited for.
//
// # What is changed
//
// Headers of one connection alone (Connection and what it names, Keep-Alive, TE, Transfer-Encoding, Upgrade and Proxy-*) are not sent on.
// X-Forwarded-For, -Proto and -Host are set; what a client that is not trusted says in them is dropped, with Forwarded and X-Real-IP.
// X-Request-Id is made if there is none. Expect is answered here. CONNECT, an upgrade to h2c and trailers that would count as headers of
// the message are not passed on.
//
// # HTTP/2 to members
//
// With Options.HTTP2 members are spoken to in HTTP/2, as gRPC needs it: both sides may send as long as they like, headers go first, and
// trailers last. A request that a member refuses (REFUSED_STREAM), or that comes after its GOAWAY, was not begun: it goes to another one
// whatever its method, if its body has at most 64 KiB or was not read. Interim answers (103) are not passed on.
//
// # Upgrades
//
// A WebSocket, or any other upgrade, becomes a tunnel once the member has answered 101. Bytes that the client has sent right behind its
// request, or the member behind its answer, are passed on. An idle tunnel has no buffer, and it may move to another worker of the gateway:
// see package tunnel.
package proxy
