// Package claim makes a master the only one of its name, and lets its user find it, whatever the environment says.
//
// The control socket cannot do either. Its folder is named by XDG_RUNTIME_DIR, which is another one in cron, su, sudo -u and
// ssh, and is removed at logout: a second master of the same name would start beside the first, and run each job twice.
//
//	tine run   ── Take ──▶ the claim, held by the keeper, by each master below it, and by a store of systemd
//	tine start ── Ask  ──▶ "web runs already (pid 17)"
//	tine ls    ── Find ──▶ web: its control socket is /run/user/1000/tine/web.sock
//
// # On Linux: an abstract Unix socket
//
//	@tine/1/UID/MOUNTS/WORLD/NAME
//
// An abstract name needs no folder, so that it holds with a read-only root and after a logout; the kernel lets one socket
// have it, and frees it when the last process that holds it has ended, by whatever end: nothing is ever left behind. The
// socket is bound before the keeper starts its first master, and is handed on in each upgrade and to each master, so that
// there is no moment in which a second one could bind it.
//
//   - UID is the effective user. Masters of two users do not know each other.
//   - MOUNTS is the mount namespace. The containers of a pod share a network namespace, in which abstract names live, and all
//     run as user 0 with an app of the same name: they do not see each other's files and are strangers. For the same reason
//     there is no lock on the config's inode: replicas may share a volume.
//   - WORLD is -, or a hash of $TINE_RUNTIME_DIR where that is set: see [World].
//   - NAME is the master's, as [FileName] writes it.
//
// Any process in the network namespace can bind a name and connect to it. So a client looks at the uid of the listener
// (SO_PEERCRED): it believes only its own user and root, and a name that a stranger holds is a [StrangerError], with which a
// master runs on without a claim. Where its queue is full, so that a connection is refused, the kernel's table of sockets says whose it is.
// The holder looks at the uid of the client, and tells a stranger nothing.
//
// # Elsewhere: a locked file
//
// A file in /var/tmp/tine-UID, or in $TINE_RUNTIME_DIR, with flock(2): the lock ends with the last process that has the file
// open, and the text in it is the answer.
//
// # The answer
//
// Lines KEY=VALUE, see [About]. Keys are only ever added: a holder may be older or newer than the client. The keeper writes it
// itself, without this package: see package keeper.
package claim
