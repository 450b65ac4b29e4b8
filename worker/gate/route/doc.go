// Package route says of each request which members it may go to, and by what one of them is picked.
//
//	policy.Policy ──▶ New: Router ── Route(request) ──▶ proxy.Choice: picker, key, target, how it is delivered
//	                                    │
//	table of members ──▶ Pools.Update ──┴── Pools.Of(type): one gate.Picker for each type of member
//
// # Routes
//
// A route is for the requests that fit its hosts, its path and its methods. The first one in the list that is for a request counts. A
// request that none is for is answered with 404. Without routes every request may go to every member.
//
//	hosts    names, or *.example.com for every name below it. Case, a port and a dot at the end do not count
//	path     the beginning of the path, by whole segments: /api is for /api, /api/ and /api/x, and not for /apis
//	methods  as GET
//
// Paths are compared after escapes are decoded. The member gets the path as the client has written it or, with Strip, what follows the
// route's.
//
// # Keys
//
// What a request is picked by, where the way of picking goes by keys: ip, path, host, header:NAME, cookie:NAME, query:NAME, segment:N
// (of the path, from 1) or json:FIELD. A request that lacks it goes by the client's address. For json the body is read ahead, up to
// policy.MostKeyBody bytes, and stays whole for the member.
//
// # Pools
//
// The members of one type are a pool, with a picker of their own. All pickers share one counter for a member, so that its max_in_flight
// holds whichever way a request has come. [Pools.Of] and [Router.Route] take no lock.
package route
