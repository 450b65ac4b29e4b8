// Package ipc is the channel between the master and one worker: frames over a Unix stream socket, with descriptors beside
// them. This page is the whole wire format, enough to write a worker in another language.
//
//	Conn     one end of the channel: Read and Write of whole frames
//	Outbox   the bounded queue in front of a Conn, so that a peer that does not read never holds up the sender
//	Lifeline how a worker gets the channel of the next master
//	Payload  a byte string shared by reference count; over 32 KiB one memory file for all processes
//	Board    the scoreboard: memory shared with the workers and with the kernel's program that steers connections
//
// # Getting the channel
//
// The environment variable TINE_CHANNEL_FD holds the decimal number of an inherited descriptor, normally 3: a connected
// Unix stream socket. Without the variable there is no master. A worker removes the variable from its environment and sets
// FD_CLOEXEC on the descriptor, so that neither reaches its children.
//
// End of file, or ECONNRESET, on the channel is how each side learns of the other's end. It may come at any time.
//
// TINE_LIFELINE_FD holds another one in the same way, normally 4: the lifeline. See "Another master".
//
// # Frames
//
// A frame is a header of 8 bytes, then the body. Numbers in the header are big-endian.
//
//	offset  size  field
//	0       4     length of the body: 0 to 73728
//	4       1     type, from the table below
//	5       1     number of descriptors that travel with the frame: 0 to 64
//	6       2     zero
//
// W is the worker, M the master. The column fds is the number of descriptors.
//
//	type  name      way   fds  body
//	1     hello     both  0    JSON: protocol, pid, library, app, worker, generation, state, slot, seat, epoch
//	2     snapshot  M>W   0    JSON: epoch, count
//	3     assign    M>W   n    JSON: slot, seat, board, listeners [{network, address}], drain_delay_ns, drain_timeout_ns
//	4     ready     W>M   0    JSON: no fields
//	5     set       both  0-1  id uvarint, epoch uvarint, changed i64, key string, payload
//	6     delete    both  0    id uvarint, epoch uvarint, key string
//	7     ack       W>M   0    epoch uvarint
//	8     message   both  0-1  topic string, payload
//	9     call      both  0-1  id uvarint, timeout uvarint, method string, payload
//	10    reply     both  0-1  id uvarint, error string, payload
//	11    drain     M>W   0    JSON: reason, handover, linger, delay_ns, timeout_ns
//	12    bye       W>M   0    JSON: reason, cut
//	13    standby   W>M   0    JSON: no fields
//	14    wake      W>M   0    JSON: no fields
//	15    inner     both  0-1  JSON: address
//	16    tickets   M>W   0-1  JSON: app
//
// Fields of binary bodies follow each other without padding, and nothing may follow the last one:
//
//	uvarint  base 128, least significant group first, top bit set on all bytes but the last (as in Protocol Buffers), at
//	         most 64 bits, in as few bytes as possible
//	i64      8 bytes big-endian, two's complement: nanoseconds since 1970-01-01 UTC. 0: not known
//	string   uvarint length, then that many bytes of UTF-8
//	payload  one byte, then
//	         0: all the rest of the body is the payload, at most 65536 bytes
//	         1: uvarint length, 1 to 1073741824; the bytes are in the one descriptor of the frame
//
// timeout is in nanoseconds, 0 when the caller does not say. JSON bodies are one object; fields that the reader does not
// know are ignored, absent ones are zero, names that end in _ns are whole nanoseconds, and none is negative.
//
// # Descriptors
//
// Descriptors travel as SCM_RIGHTS with the first byte of their frame. The receiver puts what arrives into a queue, first
// in, first out, and each frame takes as many as its header says. One sendmsg carries those of one frame only.
//
// The descriptors of assign are the listening sockets, one for each entry of listeners and in that order. They may be
// non-blocking and are shared with the master and with other workers: never shutdown(2) them, and never change their flags.
// If board is true, two more follow: the memory of the board's lines, then that of its rows.
//
// That of inner is a socket like those of assign, that of tickets a memory file: see "A gateway of the same master".
//
// The descriptor of a payload is a memory file (memfd_create) of exactly the given length with the seals F_SEAL_SEAL,
// F_SEAL_SHRINK, F_SEAL_GROW and F_SEAL_WRITE, open for reading. Map it with PROT_READ and MAP_PRIVATE: kernels before 6.7 refuse
// MAP_SHARED. Where the system has no memory files it is a regular file without a name.
//
// # The conversation
//
//	worker                                   master
//	  | hello {protocol, pid, library}         |   the hellos cross: neither waits for
//	  |--------------------------------------->|
//	  |        hello {app, worker, generation} |   the other's
//	  |<---------------------------------------|
//	  |               snapshot {epoch, count}, |   all cached values; no other set
//	  |                        set (count x)   |   comes between them
//	  |<---------------------------------------|
//	  | ack {epoch}                            |
//	  |--------------------------------------->|
//	  | standby                                |   only if it is initialised and no assign
//	  |--------------------------------------->|   has come: it waits for a slot
//	  |                  assign {slot, ...} +fds   at any time after the snapshot
//	  |<---------------------------------------|
//	  | ready                                  |   after hello, snapshot and assign
//	  |--------------------------------------->|
//	  |        set, delete (epochs ascending)  |   each key's newest; older ones may be
//	  |<---------------------------------------|   left out if the worker lags
//	  | ack {epoch}                            |   one ack may cover many changes
//	  |--------------------------------------->|
//	  | set {id, epoch 0}: publish             |
//	  |--------------------------------------->|
//	  |              reply {id, payload "17"}  |   the new epoch in decimal digits
//	  |<---------------------------------------|
//	  | message, call / reply, both ways, at any time after the hellos
//	  |<-------------------------------------->|
//	  | wake                                   |   after the first connection while the
//	  |--------------------------------------->|   master rests: see the board
//	  |                drain {handover, ...}   |
//	  |<---------------------------------------|
//	  | bye {reason, cut}                      |   also without a drain, when the worker
//	  |--------------------------------------->|   leaves by itself; then it exits
//
// Changes from the master have id 0. A set or delete from a worker has epoch 0 and an id, and is answered by a reply; the change
// itself comes back to it like to all others. Each side numbers what it asks for itself, from 1, so the same id may be in use
// in both directions. A reply with an id that no caller waits for (any more) is ignored.
//
// The answer to drain: with handover a successor accepts on the same sockets, so stop accepting at once. Without, go on
// accepting until no connection is left, at most for delay_ns (with linger for all of it), and then until accept finds
// nothing. Then finish what is in flight within timeout_ns, say bye with the
// number of requests that had to be cut off, and exit with code 0.
//
// # A gateway of the same master
//
// A gateway that the master runs reaches each worker of an app by its slot's inner socket: a Unix stream socket beside the listeners, of
// which no other client knows. The master gives it by inner, at any time before or after assign: with the one descriptor the socket, which
// takes the place of the one before; without one there is none any more. A worker that serves HTTP/1.1 there answers inner, without a
// descriptor and with the address that it has served from then on, before ready where it can; one that stops serving there answers inner
// without an address. A worker that ignores the frame is reached by its listeners only. In a drain the socket is a listener like the others.
// With another master the frame comes again, mostly with the same socket, and is answered again.
//
// tickets gives the memory in which a gateway and the workers of an app agree on which requests have begun: package ipc/tickets has its
// layout. Workers of the app get that of their own app, workers of a gateway those of all apps that it passes requests on to. A worker that
// ignores the frame closes the descriptor and works without.
//
// # Another master
//
// A master can be replaced, by a newer one or after it was killed, and the worker serves on meanwhile. What was on the channel
// then may end in mid-frame, so that a channel is never handed on. Instead, the next master sends over the lifeline, a
// connected Unix stream socket of single bytes (of value 0) with one descriptor each: a channel of its own. The worker
//
//   - ends the channel that it had, whether or not that was at its end;
//   - says hello on the new one, with its state: "starting" has no slot and does not wait for one yet, "standby" waits for one,
//     "assigned" has one and is not ready, "ready", "draining". slot and seat say which it has, epoch what it has applied;
//   - takes the master's hello and a snapshot as at the start. Values that the snapshot does not have are deleted. An
//     assign follows only if the worker has no slot; the board that it has stays the right one;
//   - sends each set and delete that had no reply once more, with its id, which may mean twice. A call that had no reply
//     fails: whether it ran is not known. It drops replies to calls of the earlier master.
//
// The end of the channel alone says that the master is gone, and another may come. That of the lifeline says that none
// will. A worker that does without a lifeline is replaced by the next master.
//
// # The board
//
// The board is memory that the master, all workers of an app and the kernel's program for steering share: version 2. It
// needs no messages, so what a worker counted is still there when it was killed. A worker that gets none, or one of a
// version that it does not know, closes the descriptors and works without.
//
// Map both memories with PROT_READ, PROT_WRITE and MAP_SHARED, at their full size. Each is a memory file of exactly this
// size, with F_SEAL_SHRINK (a regular file without a name where there are none); the hot one may be an eBPF map instead,
// which has no size for fstat.
//
//	memory  offset  bytes    what
//	hot     0       192      header
//	hot     4096    8192     table: 4096 numbers of 2 bytes, for the kernel's program
//	hot     16384   65536    lines: 1024 of 64 bytes, one for each slot
//	hot     0       81920    all of it
//	rows    0       8388608  rows: 2048 of 4096 bytes; that of slot s and seat t is number 2s+t
//
// Bytes that no table names are zero and stay so. Numbers are in the machine's byte order, each read and written by one
// atomic instruction; i64 has a sign, u64 has none. Counters go round at 2^64. Times are nanoseconds of the monotonic clock
// (CLOCK_MONOTONIC on Linux). K is the kernel's program, M the master, W workers.
//
//	in      offset  type      by  field       meaning
//	header  0       u64       M   Magic       0x6472622e656e6974: "tine.brd", lowest byte first
//	header  8       u64       M   Version     2
//	header  16      u64       M   Slots       1024
//	header  24      u64       K   Picked      connections for which it picked a slot
//	header  32      u64       K   Refused     connections refused, as all slots were full
//	header  40      u64       K   Last        slot picked last
//	header  48      u64       M   Full        busy connections at which a slot is full; 0: never
//	header  56      u64       M   StaleAfter  time without an accept after which a slot with waiting connections is avoided; 0: never
//	header  128     i64       M   Asleep      time at which the master went to rest; 0: it is awake
//	line    0       u64       K   Assigned    connections steered to the slot; 0 without such a program
//	line    8       u64[2]    W   Accepted    by seat: connections accepted
//	line    24      u64[2]    W   Released    by seat: weight given back
//	line    40      i64       W   AcceptedAt  time of the last accept
//	line    48      u64       M   Flags       1: closed: no new connections as long as another slot is open
//	row     0       u64       M   Worker      whose row it is
//	row     8       i64       M   Started     when that worker got it
//	row     64      i64       W   Heartbeat   time of the last beat: every 100 ms while a connection is open
//	row     72      i64       W   GCPause     longest of the recent pauses, ns
//	row     80      u64       W   GCCount     garbage collections
//	row     88      u64       W   Goroutines  now; threads or tasks in other languages
//	row     96      u64       W   Heap        now, bytes
//	row     128     u64       W   Opened      connections accepted
//	row     136     u64       W   Closed      connections closed
//	row     144     u64       W   Late        requests that found no free cell
//	row     200     u64[6]    W   Classes     requests answered with status 1xx, 2xx, 3xx, 4xx, 5xx, and with an unknown one
//	row     248     u64       W   Sent        bytes written to connections
//	row     1024    i64[128]  W   Cells       time at which a request in flight began; 0: free
//	row     2048    u64[208]  W   Histogram   how many requests took how long
//
// A connection weighs 1048577 from the moment at which it is steered or accepted. The worker adds 1048576 to Released when
// the connection becomes idle between two requests and takes the same off again when the next one begins; it adds 1 when it
// is closed, and 1048576 too if it was not idle then. It adds to Accepted and Released of its own seat only. When it has
// gone, the master gives back the rest. The master also takes off what was steered but never came, as half-open handshakes.
//
// At rest the master looks at nothing, and the kernel does not tell it of a connection that a worker accepts at once. So the
// worker does: each time after it has added to Accepted it reads Asleep, and if that is not 0 and not what it was when the
// worker last did so it sends wake. Both accesses are sequentially consistent.
//
// For each request the worker takes a cell by an exchange of 0 for the time at which the request began, and stores 0 when
// it ends. It does not search long: a request that finds none is counted in Late.
//
// Histogram: a time of t ns counts at index 8*(n-10) + (t>>(n-3))%8, where 2^n <= t < 2^(n+1). Less than 1024 counts at
// index 0, 2^36 and more at index 207.
//
// # Bounds
//
//	body                        73728 bytes
//	key, topic, method, address 1 to 255 bytes; key, topic and method are UTF-8
//	reason, error               4096 bytes; a sender cuts longer ones
//	payload                     1 GiB, in the body up to 64 KiB (a sender that has many receivers does better
//	                            with a descriptor from 32 KiB on)
//	descriptors                 64 a frame of the master; with a board 62 of them listeners
//	                            4 a frame of a worker
//	slots with a board          1024
//	values in a snapshot        1048576
//
// What waits for a peer that does not read is bounded too. The sender keeps the newest change of each key and a limited number
// of other frames, each kind in a room of its own (see Room), and has no more than two payloads in descriptors on their way
// unread: see Outbox.
//
// # Violations
//
// A malformed or oversized frame, a descriptor too few or too many, or a payload's file that is not as described ends the channel:
// the reader closes it, with all descriptors that came, and reports a ProtocolError that names frame, field and value.
// Nothing is guessed and nothing is skipped, because what follows on the stream has no known meaning. The master then
// replaces the worker. A worker does as when the master ends.
//
// # Versioning
//
// Each hello carries the sender's version of this format, now 1; 0 is a violation. The hellos cross, so nothing is
// negotiated: the master speaks one version, and says which. A worker that does not speak it ends, with a message that names
// both versions, before it takes in anything else. Within one version new things come as new JSON
// fields and as new types, and both are ignored by older readers: a frame of an unknown type is skipped by its length, and its
// descriptors are closed. It must keep to the header's bounds all the same. Binary bodies never change within a version.
package ipc
