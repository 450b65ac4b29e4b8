// Package tcp passes TCP connections on to the members that a picker picks, one member for each connection.
//
//	client ──▶ Accept ──▶ Pick ──▶ connection to the member ──▶ tunnel (package tunnel) ──▶ Release
//	                        ▲                 │ refused, or not made in time
//	                        └─────────────────┘ to a member that was not tried
//
// A connection counts at its member until it ends. The key of the pickers by key is the client's IP address. Where no member can be had, the
// client's connection is closed at once, and the log says why. No connection waits in a queue.
//
// Bytes pass through a buffer of this process: they are not spliced in the kernel, so that those in hand can move with the tunnel when the
// gateway's worker is replaced.
package tcp
