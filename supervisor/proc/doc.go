// Package proc starts worker processes, reads what they print, and tells how they ended.
//
//	Spec ──Resolve──► Command ──Start──► Process ──► Exited, Exit      how the leader ended
//	(as configured)   (what is on           │  ├───► OutputDone         nothing more will be printed
//	                   disk right now)      │  └───◄ Terminate, Kill    to the whole group
//	                                        ▼
//	                            stdout, stderr ─────► output.Reader ──► LineFunc
//
// What holds for every process:
//
//   - It leads a process group of its own. Whatever it started in that group is killed with it, also when the leader
//     crashed, so no grandchild is left behind to hold a port, a lock or a pipe.
//   - It has descriptors 0 (/dev/null), 1, 2 and those of [Options.Files], and no other, whatever this process itself
//     inherited or opened.
//   - No signal can ever reach a stranger. A group id is free for reuse only once its leader is reaped, and that happens
//     under the same lock as each signal: first the exit is noticed without reaping, then the group is killed, then
//     the leader is reaped, and from then on signals answer [os.ErrProcessDone].
//   - [Process.Killed] reports a process that SIGKILL has ended before it is reaped.
//   - Only reap consumes the exit status; the check for suspension uses WNOWAIT.
//   - It costs no thread. On Linux the exit arrives through a pidfd in the runtime's poller, as do the pipes.
//   - A line leaves the worker's pipe only when it is written (Linux): tee(2) copies it, [Options.StdoutWritten] waits, and
//     then it is taken out. The next process that adopts the worker after this one was killed reads what was not. Lines may
//     come twice then, and one longer than [Options.MaxLine], or than a pipe can be made to hold, may be in pieces.
//   - Its output can hold up only itself. A [LineFunc] that blocks fills the pipe and stops the writer; the buffers here
//     stay bounded by [Options.MaxLine].
//
// A process that leaves its group (setsid) escapes the kill: that is what the call is for. It cannot keep anything here
// waiting: the pipes that it still holds are closed [OutputGrace] after the exit of the leader.
package proc
