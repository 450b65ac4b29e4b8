// Package tickets is the memory in which the workers of gateways and the workers of one app agree on each request: whether it has
// begun. A request that has not begun may begin elsewhere, whatever its method; one that has begun may not.
//
//	gateway's worker                         memory: one word a request                 app's worker
//	Reserve(owner, limit) ── free → sent ────────────▶ row
//	request with Tine-Ticket ───────────────────────── inner socket ─────────────────────▶ Begin ── sent → begun, then its handler
//	Withdraw ─────────────── sent → withdrawn ───────▶ row ◀────────── begun → ended ─────── End, when the handler returns
//	Release ──────────────── ended → free ───────────▶ row
//
// A [Book] is a memory file of [Bytes] for one app. The master makes it, holds it, and calls [Book.Sweep] and [Book.Ended] when a process
// has ended. For each slot it has a header and [Rows] rows. A row is one request at the worker in that slot: it is taken from Reserve until
// both the gateway and the worker are through with it, so that a worker never runs more requests of gateways than the limit, by however
// many gateway processes.
//
// # A row
//
//	bits    what
//	0-2     state: free 0, sent 1, begun 2, ended 3, left 4, withdrawn 5
//	3       seat of the worker that has begun it
//	4-23    owner: the PID of the gateway's worker modulo 1048575, plus 1; 0 of a free row
//	24-63   sequence: counts the tickets of the row
//
//	free      → sent        Reserve
//	sent      → begun       Begin: exactly one of Begin, Withdraw and Release takes a sent row further
//	sent      → withdrawn   Withdraw: the place stays taken until the worker has seen that, or the gateway knows that it never will.
//	                        Else a worker that is stopped would look idle
//	sent      → free        Release: the gateway does not wait for it any more
//	begun     → ended       End, or Ended for a worker that is gone
//	begun     → left        Release while the handler runs, or Sweep for a gateway's worker that is gone
//	ended     → free        Release, or Sweep
//	left      → free        End, or Ended
//	withdrawn → free        Begin, which fails; Release; Sweep
//
// Each step is one compare-and-swap of the whole word, so that a process may be killed between any two instructions: what it held is
// found by its owner or its seat. The sequence makes each ticket unique. A Begin that comes late fails, as the word is another.
//
// # Layout, version 1
//
// Map all of the file with PROT_READ, PROT_WRITE and MAP_SHARED; check first that it has [Bytes] bytes and the seal F_SEAL_SHRINK. Numbers
// are 8 bytes in the machine's order but where bytes are given, each read and written by one atomic instruction. G is gateways' workers, W
// the app's workers, M the master.
//
//	offset          by    what
//	0               M     magic 0x74786b2e656e6974: "tine.kxt", the lowest byte first
//	8               M     version 1
//	16              G W   slots that were ever used: 1 more than the highest
//	24              G     time until which somebody waits for a free row; 0: nobody does
//	64, 4 bytes     G W   futex: grows when a row gets free while somebody waits
//	4096 + 256 s    G W   slot s: rows that are taken, as a hint
//	        +   8   G     tickets ever
//	        +  64   W     seat 0: requests in flight that came by other ways than a gateway with tickets
//	        +  72   W     seat 0: time of the last beat; 0: the worker rests, or there is none
//	        +  80   W     seat 0: tickets begun
//	        + 128   W     seat 1: likewise
//	266240 + 8192 s G W M rows of slot s: 1024 of 8 bytes
//
// Times are nanoseconds of ipc.Monotonic. A worker beats each [BeatEvery] while it has had a request within the last second.
//
// On the wire a ticket is 24 lowercase hexadecimal digits in the header [Header]: slot, 4; row, 4; word, 16. A worker that cannot begin a
// ticket answers status 503 with the header [NotBegun] and no body, and runs no handler.
//
// # What a process can break
//
// All of them can write all of the memory. Each word that is read is checked: what no step writes counts as taken, and the next Sweep frees
// it. A row that was overwritten belongs to no ticket: its request is not begun, or, if it has begun, not sent again.
package tickets
