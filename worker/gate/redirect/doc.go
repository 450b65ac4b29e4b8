// Package redirect sends clients to the members that are picked for them: they reach the member themselves from there on.
//
//	request ──▶ Pick ──▶ 307, Location: the member's client address, or the base and the member's ID
//	                └──▶ pending.Ledger: counts there until a report shows the client
//
// A member is one that a client may be given: a frontend with a client address or, where Options.Base is set, any.
//
//	http://10.0.0.7:8080/              of the client address 10.0.0.7:8080; https where the client has come by TLS
//	http://192.168.150.36/app_1        of the base http://192.168.150.36/ and the ID app_1
//
// With KeepPath the path and query of the request follow. No answer is to be stored, as the next one may be another.
//
// A client in a frame (Sec-Fetch-Dest: iframe) gets a page that has the whole window go there, once, with a link for browsers that do
// not run scripts or do not let a frame do that.
//
// Where no member has room, a browser gets a page that asks again by itself every two seconds, and a program 503 with Retry-After.
package redirect
