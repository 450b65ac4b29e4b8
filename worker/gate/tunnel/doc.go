// Package tunnel passes bytes both ways between a client and a member, once nothing is left to be understood of them: after an upgrade
// (WebSocket), and in a TCP proxy.
//
//	client ◀══▶ two pumps ◀══▶ member            Set: all tunnels of one worker of a gateway
//	                │
//	                │ drain: both pumps stop; two descriptors, and the bytes that are read and not written
//	                ▼
//	            the successor's Set, which pumps on
//
// Neither pump holds a buffer while there is nothing to read: it waits for the socket, takes a buffer, reads and writes, and gives the
// buffer back. An end of one side is passed on (half-close), and the other direction goes on.
//
// # How tunnels outlive their worker
//
// At its drain a worker gives its tunnels to the worker that has taken over its slot. The two find each other by what they share: the
// slot's listening socket. The inode of the first listener is the name of a Unix socket in a folder of this user (0700, below the folder for
// temporary files). Each worker binds one under a name of its own and renames it to that name, so that the newest worker is found. Both
// sides ask the kernel for the other's user, and refuse another one.
//
//	old                                  new
//	stops both pumps
//	offer, the two descriptors    ──▶    keeps them, pumps nothing
//	                              ◀──    have
//	go                            ──▶    pumps
//	closes its copies
//
// Until go is sent, the tunnel is the old worker's: where an offer fails or is late, it pumps on, and the new worker drops its copies when
// the connection between the two ends. After go it is the new worker's. So no byte is passed twice or lost, unless a worker dies. While it
// moves, a tunnel rests for some 100 µs.
//
// What cannot move stays with the old worker until its drain ends: tunnels under TLS that ends here, as their keys are in the process;
// those that have more than 128 KiB in hand; and all, where there is no successor, or not on Linux.
package tunnel
