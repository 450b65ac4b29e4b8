// Package handover replaces a running master by another program, which goes on with its workers.
//
//	old master                                        new master
//	  | starts it: tableflip                            |
//	  |------------------------------------------------>| reads its config, looks whether it could do it
//	  |                                        prepared |
//	  |<------------------------------------------------|
//	  | give: lets go of the workers                    |   from here on nobody supervises,
//	  | file, file, file ... go                         |   for some ms
//	  |------------------------------------------------>| adopts them
//	  |                                           ready |   tableflip
//	  |<------------------------------------------------|
//	  | ends                                            | stays
//
// Whatever the new one does instead - it is not there, cannot be executed, ends, hangs, is killed - the old one gets an
// error and goes on: what it gave were duplicates. What has not become ready in time is killed.
//
// cloudflare/tableflip starts the new master and tells when it is ready. It names descriptors by hand and keeps every one
// that it was given once, so that it passes one only: a socket over which all others come.
//
// On the socket (Unix, SOCK_SEQPACKET) a packet is one byte for its type and what belongs to it:
//
//	p PID         new to old: prepared
//	f NAME + fds  old to new: files of one name, at most 253
//	g             old to new: go, that was all
//	x             old to new: do not, and end
//	r REASON      new to old: why it ends instead of becoming ready
package handover
