// Package handover replaces a running master by another program, which goes on with its workers.
//
//	old master                                        new master
//	  | starts it: tableflip                            |
//	  |------------------------------------------------>| reads its config, looks whether it could do it
//	  |                                        prepared |
//	  |<------------------------------------------------|
//	  | give: lets go of the workers                    |   from here on no master supervises,
//	  | file, file, file ... go                         |   for some ms
//	  |------------------------------------------------>| adopts them
//	  |                                           ready |   tableflip
//	  |<------------------------------------------------|
//	  | ends                                            | stays
//
// Whatever the new one does instead - it is not there, cannot be executed, ends, hangs, is killed - the old one gets an
// error and goes on: what it gave were duplicates. What has not become ready in time is killed.
//
// # As a user sees it
//
//	$ mv tine-1.5 /usr/local/bin/tine && tine upgrade
//	shop upgraded from 1.4, pid 4711, to 1.5, pid 4803, in 64 ms; 4 workers untouched
//
// No connection is refused meanwhile: neither the service's clients nor probes, scrapes and the dashboard. tine upgrade --binary PATH
// takes another file; so does POST /v1/upgrade with {"binary": "/abs/path"}. With --upgrade-signal RTMIN+1 that signal does it too,
// and the log tells the result.
//
// The new binary is tried first, with the flags of the master (tine run --check). It goes on with the config that runs: an edit on
// disk that was not applied stays one, also an edit with a fault. If the new binary cannot take over, the old master goes on as before, nothing is
// left over, and the exit status is 1. The reason follows "tine: cannot upgrade to PATH:", as "it is not executable" or "it is no
// tine: asked for its version it says ..."; how the new master ended; that the check did not end within 10 s, or that no master was ready within 30 s.
// A second upgrade at the same time gets "an upgrade is under way already".
//
// The new master is another process, below the same keeper; of a systemd unit it is the new main PID. With --keeper=off the process
// that tine run started ends with status 0, and the new master belongs to the reaper of orphans. As PID 1 Tine refuses that, as all processes
// would end with it. A keeper is never replaced. It brings a master that crashes back from the file that this master was started
// from; if that is gone, busy or broken, from its own.
//
// # How
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
