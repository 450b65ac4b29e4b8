// Package listen owns the listening sockets of an app and decides which of its slots new connections reach.
//
//	             slot 0     slot 1     slot 2     slot 3
//	:7000      [ socket ] [ socket ] [ socket ] [ socket ]     one SO_REUSEPORT group: the kernel picks a member
//	[::1]:7001 [ socket ] [ socket ] [ socket ] [ socket ]     one group an address
//	unix:/x    [            one shared socket            ]     who accepts first has it
//	            \_________________________/
//	             Steer(3): only these get new connections
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
// check and a use. Somebody who holds the address already is an [InUseError] that names the process.
//
// # Steering
//
// A classic BPF program on the group picks among the first n sockets at random. The kernel numbers the sockets of a group
// in the order of listen, and closing one moves the last into its place: therefore slots are opened in order and closed
// last first, and a slot may be closed only when its last worker is gone, because the kernel counts a socket until every
// duplicate of it is closed. A slot that is opened later gets nothing until a [Set.Steer] admits it.
//
// To take a slot away: Steer around it, let its worker accept until the queue is empty ([Set.Queue]) and a round trip
// has passed for handshakes that were under way, end the worker, CloseSlot.
//
// # Shared
//
// Unix-domain addresses, and all addresses where SO_REUSEPORT does not balance (macOS), have one socket that all slots
// share ([Set.Shared]). Steer cannot keep connections from a slot there; a worker that stops accepting leaves them
// to the others.
package listen
