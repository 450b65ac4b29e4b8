// Package keeper is the small process above the master, which outlives it.
//
//	systemd, a container's runtime, a shell
//	   │ signals, exit code      ▲ READY, STATUS, STOPPING, WATCHDOG
//	   ▼                         │
//	keeper ── store: web, web, log, state ...         never upgraded while it runs
//	   │ ▲                    │
//	   │ │ NOTIFY_SOCKET      │ LISTEN_FDS, at each start
//	   ▼ │                    ▼
//	master ── workers, their sockets, channels, pidfds and output
//
// A master that crashes leaves its workers running, but the processes alone are not enough to go on with: the listening
// sockets, the channels and the read ends of the output died with it. So the master stores a duplicate of each descriptor
// with the keeper as soon as it has it, and the next master is started with all of them and goes on.
//
// # What a keeper does
//
//   - It starts a master, and another when that has crashed: at once, then after 100 ms, doubling to 5 s. What happened
//     before a master was up for 500 ms is forgotten.
//   - It holds files for it: [Client.Store], [Inherited].
//   - It passes signals on, all but those that are about the process that gets them: SIGCHLD, SIGPIPE, SIGURG, SIGWINCH,
//     SIGTSTP and those of a fault. A stop signal that comes again arrives as another one, so that a master can tell it
//     from one that was sent to both of them.
//   - It reaps: its masters, and every process whose parent has died, as PID 1 or as subreaper. It remembers how the last
//     4096 of them have ended, for the master that comes after: [Client.Exits].
//
// It costs no CPU as long as nothing happens, and a few MiB of memory though it is part of a large binary (slim_linux.go).
//
// # What dies, and what happens
//
//	a worker      the master starts another in its slot; the connections that wait there are its
//	the master    (kill -9, out of memory, a panic, or no sign of life for the watchdog's time.) The workers serve on. The
//	              keeper starts another master, which adopts them and goes on with what ran: config, release, a rollout, a
//	              stop. A config file that was edited and not applied stays so; the log and tine status tell of it
//	each master   or none can be started: the next comes after 100 ms, doubling to 5 s; the workers serve on. Commands wait up to
//	              5 s for it, then say how things are, with exit status 3; tine stop stops all
//	the keeper    the master becomes the keeper, in its own process, and starts a master below. As PID 1: the container ends
//	nothing       the machine or container stood still (docker pause, a paused VM): that time counts for no wait. No master is taken
//	              for hung, and no worker or hook is too late
//	both at once  the workers serve on, and nothing replaces them: as without a keeper
//
// What goes on below the next master: connections, requests, sockets and steering; cached values with their epochs; counters,
// restarts and backoffs; an order that a command waits for, as tine reload; the output of the workers: no line is lost, and one on
// its way in a crash may come twice. tine logs -f and events -f go on with what the next master says.
//
// What ends: profiles; what tine logs and tine events remember (the log itself is as it was); a worker's Call under way, with
// ErrMasterReplaced. After a crash a hook under way is not waited for, and a before_start is run again.
//
// If there is no room for a worker's descriptors (RLIMIT_NOFILE, 4096 in the keeper, FileDescriptorStoreMax=), the log, tine status
// and tine events say at once what a crash of the master would lose. They are stored as soon as there is room.
//
// tine run has a keeper by default (--keeper=auto), but not on macOS, and not below a systemd that stores descriptors, which
// does all this itself. With --keeper=on there is one below such a systemd too. With --keeper=off nothing brings a master back: the next tine run
// says which workers hold the address. Kill those (they finish what they are doing), then start.
//
// # A crash, and an end in order
//
//	master has said          and ends by                 the keeper
//	READY=1                  whatever                    starts another
//	READY=1, STOPPING=1      an exit                     ends with its code
//	nothing, nor any before  an exit                     ends with its code, after it has ended what is left
//	nothing, nor any before  a signal                    starts another; the fifth time it gives up
//	anything, in a stop      exit code 0                 ends
//	READY=1, in a stop       a signal, another code      starts another, once: that is to stop instead
//	anything else, in a stop a signal, another code      ends with the code, after it has ended what is left
//
// READY=1 in the last rows is of this master or one before it; one that was aborted for its silence, or has said STOPPING=1,
// is "anything else". The code for a signal is 128 + its number.
//
// A stop begins with SIGTERM, SIGINT or SIGQUIT; from then on no master is started but for that one. If none lives then, as
// they crash again and again, the keeper ends what is left itself: SIGTERM to the process groups of all its children, SIGKILL
// after [Options.StopTimeout] or the next such signal. What workers print then is in no log. A master that lives is given no
// time: it bounds its own stop.
//
// Signals wait for a master's first notification, each once: a process that has only just been started would die of them. A
// stop drops the others that wait. It does not wait for ever: a master that has been up for 5 s without a word is told to stop
// all the same. So a master is to notify as soon as it takes signals, and not only when it is READY.
//
// # The claim
//
// [Options].Claim is a listening socket that the keeper holds as long as it lives, so that no second keeper of the same name
// starts, and that it hands to each master among the stored files ([ClaimName]), so that it outlives the keeper where a master
// succeeds it. Who connects, of the keeper's user or root, gets [Options].ClaimText and what the keeper knows of its masters
// (about.go), as lines KEY=VALUE, of which there will be more. X-TINE-CONTROL=ADDRESS, of the master in charge, says where its
// control socket is now.
//
// # Upgrade
//
// MAINPID=PID makes another process the master that counts. It comes from the master or from the process itself
// ([Client.Lead]), which must have been started by a master and, in its own case, be of the keeper's user. It has to come
// before READY=1 and before the old master ends, as then the end of the old one is not taken for a crash. As long as the old master lives and has not said
// STOPPING=1, it is in charge again if the new one ends. So a master that has handed over for good says STOPPING=1.
// If the new one had said READY=1 before it ended, the old one may be about to leave for it, without knowing: its end is then a
// crash, whatever it says, until it has said READY=1 itself.
//
// With MAINPID may come X-TINE-COMMAND=PATH, the absolute path of that process's program: from it the keeper brings back
// the master, as long as it or one that was brought back is in charge. A path that cannot be executed then gives way to
// what the keeper was started with ([Options].Command), and the log says so: for good, but not if the file is only busy.
// Without the field it is that, too.
//
//	old     ready ──────────── starts new ─────────────── STOPPING=1 ── exit
//	new                        MAINPID=new ── READY=1 ──────────────────────────▶
//	            old is followed │ new is followed, old is the way back │ new alone
//
// # The end of the keeper
//
// As PID 1 it takes all others along. Otherwise a master that it leaves behind can become a keeper itself, in the same
// process ([AwaitEnd], [Succeed]): then it is the parent of its workers still, and for the next master the keeper. A master
// was ready then, for all that is said above. It executes the file that it runs from, never one that has come in its place.
//
//	keeper  killed
//	master  ready ─── Succeed ── keeper ─────────────────────▶
//	next                            started, adopts ── READY=1 ──▶
//	workers ─────────────────────────────────────────────────▶
//
// Workers of earlier masters, which the dead keeper had taken in, are the children of another process then, mostly of PID 1. A kernel
// before 6.15 does not tell the next master how they end, and a stop while no master lives does not reach them: their lifelines,
// which end with the keeper, do. A keeper and a master that are killed at once leave the workers to themselves.
//
// # The protocol
//
// It is systemd's (sd_notify(3)), so that a master does the same under both: READY, RELOADING, STOPPING, STATUS, MAINPID,
// WATCHDOG, WATCHDOG_USEC, FDSTORE, FDSTOREREMOVE, FDNAME, BARRIER. What is new to it is passed over, EXTEND_TIMEOUT_USEC
// too: the keeper has no timeout for a start. FDPOLL is always 0: what becomes of a file is its owner's affair. The same
// open file is kept once, as systemd does it. A notification counts if the kernel says (SCM_CREDENTIALS) that a master has
// sent it; READY and the like in one with MAINPID are about that process. X-TINE-EXITS=1, X-TINE-MASTER=1 and X-TINE-ROOM=1 are questions
// that come with a memfd for the answer; X-TINE-COMMAND is told above. systemd passes them over.
//
// Time in which the keeper itself has not run does not count: see patience.go. So a pause of the whole machine or container
// does not make a master look hung.
//
// In three things it differs. LISTEN_PID is not set: see [Inherited]. Files that would be too many are refused all
// together, not one by one. And files of one name are returned in their order; with systemd, which returns them in any, the
// client gives each a name of its own. What was refused is remembered: [Client.Room].
//
// Because a keeper meets masters that are older and newer than itself, all of this only ever grows.
//
// # Inside
//
//	notifications, signals, ends of processes, time                      orders
//	shell ────────────────────────────────────────▶  core.step  ───────────────▶ shell
//
// The core (core.go) decides and does nothing itself; testdata tells its stories. The shell (run_linux.go) is one goroutine
// in one poll, so that what a master said last is always read before its end is judged.
package keeper
