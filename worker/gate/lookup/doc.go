// Package lookup tells clients the address of the member that is picked for them, as the gate of a Pinus or Pomelo application does, and tells
// programs the member of a key.
//
//	GET  /v1/pick?type=connector&uid=10001          {"code":200,"host":"127.0.0.1","port":3050}
//	POST /v1/pick {"type":"connector","uid":10001}  {"code":500}
//
// The status is 200 in both cases, as those clients look at code; with strict=1 it is 503 in the second. The header Tine-Why says why.
// What is picked by is uid, or key; a number is its decimal string. A lookup without a type is of the type of its route.
//
// The answer is the client address of a frontend. A member that is none is never given to a client, whatever is asked for.
//
// [Lookup.Member] answers the same for a program in Go, also of members that are no frontends, with an ID and an address: it is what
// app.route and a router are in Pinus. Its errors have the texts of those.
package lookup
