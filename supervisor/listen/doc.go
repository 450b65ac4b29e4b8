// Package listen owns the listening sockets of an app and decides which of its slots new connections reach.
//
//	             slot 0     slot 1     slot 2     slot 3
//	:7000      [ socket ] [ socket ] [ socket ] [ socket ]     one SO_REUSEPORT group: the kernel picks a member
//	[::1]:7001 [ socket ] [ socket ] [ socket ] [ socket ]     one group an address
//	unix:/x    [            one shared socket            ]     who accepts first has it
//	            \_________________________/
//	             SteerTo(0, 1, 2): only these get new connections
//
// A socket belongs to its slot, not to a worker. It is opened before the slot's first worker starts, each worker of the
// slot accepts on a duplicate, and it is closed when the slot is given up. So a worker can die at any moment without
// one queued connection being reset: the queue is the socket's, and the next worker of the slot accepts from it.
//
// # Exclusive
//
// SO_REUSEPORT lets any process of the same user join a group and take a share of its connections in silence: a second
// supervisor started by mistake would. So the first socket of an address claims it without SO_REUSEPORT, up to and
// including listen, where the kernel checks once more, and only then opens it to the others. There is no moment between a
// check and a use. If a process holds the address already, the error is an [InUseError] that names it.
//
// # Steering
//
// [Set.SteerTo] says which slots are open to new connections, for all addresses together, whether IPv4, IPv6 or both. Among
// the open ones the kernel picks by a [Policy]. How it is made to is the [Kind], of which each Set has the best that the
// machine, the user and [Options.Best] allow:
//
//	policy       by         ebpf    cbpf                                       hash
//	least        the load   exact   at random, by weights that the watcher     no
//	                                renews while there is load
//	round-robin  turns      exact   at random: even in the long run            no
//	random       chance     exact   exact                                      no
//	hash         4-tuple    exact   exact                                      exact, but a change moves any client
//	client-ip    address    exact   exact                                      no
//	cpu          the CPU    exact   exact                                      no
//	avoids slots that stall         in the kernel   by the watcher             no
//	avoids or refuses at full       in the kernel   no                         no
//
// "No" is the kernel's own hash of addresses and ports. [Set.Steering] says which kind it is, whether that does exactly
// what the policy says, and if not what it does instead and why.
//
//   - ebpf: a program on each group reads the [Set.Board] for each connection, and counts there. It needs CAP_BPF in the
//     initial user namespace and Linux 5.8.
//   - cbpf: a classic program on each group, which needs no privilege. It is replaced, in one step, when the open slots or
//     their weights change; connections under way are not affected.
//   - hash: no program as long as all slots are open. While one is not, a classic program picks among the rest at random;
//     where the kernel refuses that too, a slot that is not open gets connections until it is closed.
//   - shared: see below.
//
// A client under client-ip, and a connection under hash, belongs to a slot as long as that is open. When it is not, its
// clients are spread over the others, and the clients of other slots do not move; its own come back with it. A slot that is added takes its share from
// all others.
//
// Why steering: SO_REUSEPORT alone hashes connections blindly. When one of four workers is stuck, a quarter of all clients wait for
// it. The kernel's program picks a worker for each connection, and no process of Tine is in the way of a request. By policy a new
// connection goes to
//
//	least        the worker with the fewest busy connections; of equals, each in turn
//	round-robin  each worker in turn
//	random       any worker
//	hash         a worker by the addresses and ports of both ends
//	client-ip    the same worker for the same client, also after a rollout
//	cpu          the worker on the CPU that handles the packet
//
// Whatever the policy, a worker that starts, drains, stands still or is dead gets none while another can take the connection. With
// ebpf the program counts what it sends to each worker, and the workers count what they have finished; neither makes a system call.
// It can also refuse connections while all workers are full, and it moves what waits at a slot that is closed (Linux 5.14). With
// cbpf it picks at random among candidates, which the master renews up to a hundred times a second under load and never at rest.
// tine doctor says which kind this machine allows, and what is needed for more.
//
// # Falling
//
// A kind that fails in the middle (its program is refused, a map is lost, a filter was put on the process) hands over to the
// next, with all sockets and the open slots as they are. The old program picks until the new one has replaced it, so no
// connection is refused or lost. No call returns an error; Steering's notes and a notice of [Fell] tell. A Set does not climb
// back.
//
// # Order
//
// The kernel numbers the sockets of a group in the order of listen, and closing one moves the last into its place: therefore
// slots are opened in order and closed last first, and a slot may be closed only when its last worker is gone, because the
// kernel counts a socket until every duplicate of it is closed. A slot that is opened later gets nothing until a
// [Set.SteerTo] admits it.
//
// To take a slot away: steer around it, let its worker accept until the queue is empty ([Set.Queue]) and a round trip
// has passed for handshakes that were under way, end the worker, CloseSlot.
//
// # Inner sockets
//
// Beside its public sockets each slot may have an inner one ([Set.SetInner]): a Unix-domain socket in a folder of the master's, which its
// gateways alone connect to, so that they choose the worker of each request. It outlives the worker and is kept for the next master as the
// public ones are, but nothing steers there, no address names it, and a worker gets it, or another one, at any time. Its file is looked at
// as the addresses are. With it comes the book of tickets ([Set.ShareBook]), in which gateways and workers agree on which requests have
// begun.
//
// # Seats
//
// A slot has two workers for a moment when one replaces the other: each has a seat, and on the board a row of its own.
// [Set.Seat] is called before a worker is assigned, [Set.Vacate] when its process has gone: what it still held is given back
// then, so that a slot whose worker died is not taken for a busy one.
//
// # Rest
//
// Without load the watcher sleeps. A connection that waits in a queue wakes it, but the kernel does not tell of one that is
// accepted at once. So the board says that the watcher sleeps, and a worker that counts a connection tells, for which
// [Set.Wake] is called: once for each sleep and worker, and never under load. Of a program that does not count only a queue is
// seen in any case.
//
// # Shared
//
// Unix-domain addresses, and all addresses where SO_REUSEPORT does not balance (macOS), have one socket that all slots
// share. Steering cannot keep connections from a slot there; a worker that stops accepting leaves them
// to the others.
//
// # Given
//
// A socket that another process has opened, as systemd for socket activation ([TakeGiven], [Options.Given]), is served as
// its owner has made it:
//
//   - With SO_REUSEPORT (ReusePort=true in the socket unit), and if this process is of the user who has opened it, it is slot
//     0's socket, and the other slots' are opened beside it: everything above holds. As systemd is root, so has Tine to be.
//   - Without it, or if it speaks Multipath TCP, it is one shared socket: all slots accept on it. It could be given the option afterwards, but a
//     socket that was opened exclusively is not meant to be joined; and with one socket no connection waits in a queue
//     that ends with Tine: what comes between its end and its next start waits in the socket that systemd holds. The price
//     is steering, of which there is none.
//
// Closing it here leaves it open there, and the file of a Unix-domain one is never removed. With ReusePort=true a connection
// that comes while Tine is down waits in slot 0's.
package listen
